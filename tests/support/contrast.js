() => {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const over = (top, below) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((place) => top[place] * alpha + below[place] * (1 - alpha));
  };
  const light = (color) => {
    const [red, green, blue] = color.map((value) => value / 255)
      .map((value) => (value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4));
    return .2126 * red + .7152 * green + .0722 * blue;
  };
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    return over(channels(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  };
  const low = [];
  let pairs = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (!words || !element.getClientRects().length || element.closest("script, style, .hidden, .skip")) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const [one, other] = [light(over(channels(style.color), back)), light(back)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const ratio = (one + .05) / (other + .05);
    pairs += 1;
    if (ratio < needed) low.push(`${words.slice(0, 40)}: ${ratio.toFixed(2)} (${style.color} on ${back.map(Math.round)})`);
  }
  return { pairs, low: [...new Set(low)] };
}
