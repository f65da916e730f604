(() => {
  "use strict";
  const body = document.getElementById("rows"), filter = document.getElementById("filter");
  document.documentElement.dataset.ready = "yes";
  if (!body) return;
  const states = document.getElementById("states"), shown = document.getElementById("shown");
  const rows = [...body.rows], heads = [...document.querySelectorAll("thead th")];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const fits = words.every((word) => texts.get(row).includes(word)) && (!states.value || row.dataset.state === states.value);
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count.toLocaleString("en")} shown`;
  };
  filter.addEventListener("input", show);
  states.addEventListener("change", show);
  filter.form.addEventListener("submit", (event) => event.preventDefault());
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", (event) => {
    const before = head.getAttribute("aria-sort");
    const next = before === "none" ? event.currentTarget.dataset.first : before === "ascending" ? "descending" : "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", next);
    const key = (row) => row.cells[place].dataset.sort, sign = next === "ascending" ? 1 : -1;
    const compare = (one, other) => {
      const a = key(one), b = key(other);
      if (!a || !b) return a === b ? 0 : a ? -1 : 1;
      const difference = Number.isFinite(Number(a)) && Number.isFinite(Number(b)) ? Number(a) - Number(b) : a.localeCompare(b);
      return sign * difference;
    };
    rows.sort(compare);
    body.append(...rows);
  }));
})();
