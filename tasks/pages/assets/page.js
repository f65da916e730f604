(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const sums = (steps) => { let total = 0; return steps.map((step) => (total += step)); };
  const filled = (changes, length) => {
    const values = new Array(length).fill(null);
    changes.forEach(([place, value], at) => values.fill(value, place, at + 1 < changes.length ? changes[at + 1][0] : length));
    return values;
  };
  const REPEATED = ["expected", "bound", "champion", "verdict"];
  const times = sums(data.minutes).map((minute) => minute * 60);
  const column = (name) => {
    const values = data.columns[name];
    if (!values) return new Array(times.length).fill(null);
    return REPEATED.includes(name) ? filled(values, times.length) : values;
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => value == null ? "-" : Number(value.toPrecision(4)).toLocaleString("en");
  // With as many digits as an interval leaves certain.
  const certain = (value, half) => {
    if (value == null || !(half > 0)) return number(value);
    const digits = Math.min(Math.max(1 - Math.floor(Math.log10(half)), 0), 6);
    return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  };
  const share = (value) => value == null ? "-" : `${Number((100 * value).toPrecision(3))} %`;
  const date = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
  // Marks that reverse the direction of what follows, and control characters: the page shows none of them elsewhere.
  const plain = (text) => String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text != null) made.textContent = plain(text);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, plain(value));
    return made;
  };

  const box = document.getElementById("timeline");
  const value = column("value"), error = column("error"), champion = column("champion"), verdict = column("verdict");
  const expected = column("expected"), bound = column("bound"), estimate = column("estimate");
  const low = value.map((one, at) => one == null || error[at] == null ? null : one - 1.96 * error[at]);
  const high = value.map((one, at) => one == null || error[at] == null ? null : one + 1.96 * error[at]);
  const marksBox = document.getElementById("marks"), markText = document.getElementById("mark-text");
  const readout = document.getElementById("readout");
  let charts = [], shown = null;

  const first = times[0], last = times[times.length - 1];
  // All of its life: what happened before the first look and after the last one, too.
  const whole = () => {
    let from = first, to = last;
    for (const [minute] of [...data.marks, ...data.reigns]) { from = Math.min(from, minute * 60); to = Math.max(to, minute * 60); }
    const pad = Math.max((to - from) * 0.01, 43200);
    return { min: from - pad, max: to + pad };
  };
  const describe = (at) => {
    if (at == null) return "";
    const figure = (one) => certain(one, error[at] == null ? null : 1.96 * error[at]);
    const band = low[at] == null ? "" : ` (${figure(low[at])} to ${figure(high[at])})`;
    const live = value[at] == null ? "quality not known" : `${data.metric} ${figure(value[at])}${band}`;
    const guess = value[at] == null && estimate[at] != null ? `, ${number(estimate[at])} estimated` : "";
    const level = expected[at] == null ? "" : `, ${figure(expected[at])} expected, ${figure(bound[at])} at worst`;
    const version = champion[at] == null ? "" : `; version ${champion[at]}`;
    return `${date(times[at])}: ${live}${guess}${level}${version}; ${String(verdict[at]).replace("_", " ")}`;
  };

  const MARKS = { turn: "T", release: "R", rollback: "↶", outside: "H", approval: "A", trial: "L", outcome: "O", incident: "!" };
  const ORDER = ["incident", "rollback", "release", "outside", "approval", "trial", "outcome", "turn"];
  const openMarks = (group, button) => {
    markText.replaceChildren(...group.slice(-30).map(([minute, kind, title, text]) => {
      const line = element("p");
      line.append(element("strong", `${date(minute * 60)}: ${title}`), element("br"), document.createTextNode(plain(text)));
      return line;
    }));
    markText.hidden = false;
    marksBox.querySelectorAll("button").forEach((one) => one.setAttribute("aria-expanded", one === button));
  };
  const placeMarks = (chart) => {
    const near = [], held = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.at : null;
    const offset = chart.bbox.left / devicePixelRatio, width = chart.bbox.width / devicePixelRatio;
    for (const mark of data.marks) {
      const x = chart.valToPos(mark[0] * 60, "x");
      if (x < 0 || x > width) continue;
      const group = near[near.length - 1];
      if (group && x - group.x < 26) group.marks.push(mark);
      else near.push({ x, marks: [mark] });
    }
    marksBox.replaceChildren(...near.map(({ x, marks }) => {
      const kind = ORDER.find((one) => marks.some((mark) => mark[1] === one));
      const text = marks.length > 1 ? `${MARKS[kind]}+${marks.length - 1}` : MARKS[kind];
      const label = marks.length > 1 ? `${marks.length} events from ${date(marks[0][0] * 60)}` : `${marks[0][2]}, ${date(marks[0][0] * 60)}`;
      const button = element("button", text, { type: "button", class: kind, "aria-label": label, title: label, "data-at": marks[0][0], "aria-expanded": "false" });
      button.style.left = `${offset + x}px`;
      button.addEventListener("click", () => openMarks(marks, button));
      return button;
    }));
    if (held) marksBox.querySelector(`[data-at="${Number(held)}"]`)?.focus();
  };

  const reigns = {
    hooks: {
      drawClear: [(chart) => {
        const context = chart.ctx, { left, top, width, height } = chart.bbox;
        context.save();
        context.beginPath(); context.rect(left, top, width, height); context.clip();
        context.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
        data.reigns.forEach(([minute, version], at) => {
          const from = Math.max(chart.valToPos(minute * 60, "x", true), left);
          const next = data.reigns[at + 1];
          const to = Math.min(next ? chart.valToPos(next[0] * 60, "x", true) : left + width, left + width);
          if (to <= from) return;
          context.fillStyle = at % 2 ? "transparent" : colour("--reign");
          context.fillRect(from, top, to - from, height);
          if (to - from > 60 * devicePixelRatio) {
            context.fillStyle = colour("--quiet");
            context.fillText(`version ${version}`, from + 5 * devicePixelRatio, top + 13 * devicePixelRatio);
          }
        });
        context.restore();
      }],
      draw: [placeMarks],
    },
  };

  // Step between two labels in seconds, the label, and what is below it where the year or the day is new.
  const day = "\n{D} {MMM} {YYYY}", clock = ["{HH}:{mm}", day, null, "\n{D} {MMM}", null, null, null, 1];
  const dates = [
    [31536000, "{YYYY}", null, null, null, null, null, null, 1],
    [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [3600, ...clock], [60, ...clock],
  ];
  const axes = (format, size, space = 70) => {
    const line = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "11px system-ui, sans-serif" };
    return [{ ...line, space, values: dates }, { ...line, size, values: (_, marks) => marks.map(format) }];
  };
  // A level holds for all of a champion's looks, so it steps where the champion changes.
  const steps = uPlot.paths.stepped({ align: -1 });
  const sync = uPlot.sync("looks");
  // A line that hardly moves, or a single look, gets a tenth of its level as room, and a share none beyond 0 and 1.
  const room = (form) => (_, min, max) => {
    if (min == null) return [0, 1];
    const more = Math.max((max - min) * 0.1, min === max ? Math.abs(max) * 0.1 || (form === "share" ? 0.05 : 1) : 0);
    const low = form && min >= 0 ? Math.max(0, min - more) : min - more;
    return [low, form === "share" && max <= 1 ? Math.min(1, max + more) : max + more];
  };
  const common = (width, height, form) => ({
    width, height, legend: { show: false }, tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { sync: { key: sync.key }, drag: { x: true, y: false }, points: { size: 6 } },
    scales: { x: { time: true, range: (_, min, max) => min == null ? [first - 1, last + 1] : [min, max] }, y: { range: room(form) } },
  });
  const follow = (chart) => {
    const { min, max } = chart.scales.x;
    if (min == null || (shown && shown.min === min && shown.max === max)) return;
    shown = { min, max };
    for (const other of charts) if (other !== chart) other.setScale("x", shown);
    drawHeat();
  };
  const zoom = (min, max) => { if (charts[0] && max - min > 3600) charts[0].setScale("x", { min, max }); };
  const reset = () => { const all = whole(); zoom(all.min, all.max); press(0); };
  const press = (days) => document.querySelectorAll("[data-days]").forEach((one) => one.setAttribute("aria-pressed", Number(one.dataset.days) === days));

  const onPaper = () => "printed" in document.documentElement.dataset;
  const draw = () => {
    if (!box || !times.length) return;
    charts.forEach((chart) => chart.destroy());
    charts = [];
    const kept = shown || whole();
    shown = null;
    const live = colour("--live"), few = times.length < 60;
    const options = {
      ...common(box.clientWidth, onPaper() ? 250 : Math.max(260, Math.min(380, innerHeight * 0.45))),
      plugins: [reigns], axes: axes(number, 56),
      bands: [{ series: [3, 2], fill: colour("--band") }],
      series: [
        {},
        { label: "live", stroke: live, width: 2, spanGaps: true, points: { show: few, size: 5 } },
        { label: "low", stroke: "transparent", points: { show: false } },
        { label: "high", stroke: "transparent", points: { show: false } },
        { label: "expected", stroke: colour("--expected"), width: 1.5, dash: [6, 4], points: { show: false }, paths: steps },
        { label: "bound", stroke: colour("--bound"), width: 1.5, dash: [2, 3], points: { show: false }, paths: steps },
        { label: "estimate", stroke: colour("--estimate"), width: 1.5, points: { show: few, size: 4 } },
      ],
      hooks: {
        setCursor: [(chart) => { readout.textContent = describe(chart.cursor.idx); }],
        setScale: [(chart, key) => { if (key === "x") follow(chart); }],
      },
    };
    charts.push(new uPlot(options, [times, value, low, high, expected, bound, estimate], box));
    const panels = document.getElementById("panels");
    panels.replaceChildren();
    for (const [name, label, form] of data.panels) {
      const values = column(name), known = values.filter((one) => one != null), format = form === "share" ? share : number;
      const figure = element("figure", null, { "aria-label": label }), space = element("div", null, { "aria-hidden": "true" });
      const newest = known.length ? format(known[known.length - 1]) : "-";
      let least = Infinity, most = -Infinity;
      for (const one of known) { least = Math.min(least, one); most = Math.max(most, one); }
      figure.append(element("h3", label), space, element("figcaption", `${newest} at the end, from ${format(least)} to ${format(most)}`));
      panels.append(figure);
      charts.push(new uPlot({
        ...common(space.clientWidth, 130, form), axes: axes(format, 56, 48),
        series: [{}, { label, stroke: live, width: 1.5, spanGaps: true, points: { show: few, size: 4 } }],
        hooks: { setScale: [(chart, key) => { if (key === "x") follow(chart); }] },
      }, [times, values], space));
    }
    drawLimits();
    zoom(kept.min, kept.max);
  };

  const drawLimits = () => {
    const space = document.getElementById("limits"), given = data.limits;
    if (!space || !given.charts.length) return;
    space.replaceChildren();
    const at = sums(given.days).map((day) => day * 86400 + 43200), few = at.length < 60;
    for (const [label, words, parts] of given.charts) {
      const figure = element("figure", null, { "aria-label": label }), box = element("div", null, { "aria-hidden": "true" });
      figure.append(element("h3", label), box, element("figcaption", words));
      space.append(figure);
      const points = { show: false };
      charts.push(new uPlot({
        ...common(box.clientWidth, 150), axes: axes(number, 56, 48),
        bands: [{ series: [3, 2], fill: colour("--band") }],
        series: [
          {},
          { label, stroke: colour("--live"), width: 1.5, spanGaps: true, points: { show: few, size: 4 } },
          { label: "low", stroke: "transparent", points, spanGaps: true },
          { label: "high", stroke: "transparent", points, spanGaps: true },
          { label: "expected", stroke: colour("--expected"), width: 1.5, dash: [6, 4], points, spanGaps: true, paths: steps },
          { label: "bound", stroke: colour("--bound"), width: 1.5, dash: [2, 3], points, spanGaps: true, paths: steps },
        ],
        hooks: { setScale: [(chart, key) => { if (key === "x") follow(chart); }] },
      }, [at, parts.value, parts.low, parts.high, filled(parts.expected, at.length), filled(parts.bound, at.length)], box));
    }
  };

  const DAY = 86400;
  const days = sums(data.days);
  const heat = document.getElementById("heat");
  const columnLink = (place, name) => {
    const link = element("a", name, { href: `#column-${place}` });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const opened = document.getElementById(`column-${place}`);
      opened.open = true;
      opened.querySelector("summary").focus();
    });
    return link;
  };
  const drawHeat = () => {
    if (!heat || !days.length) return;
    const span = shown || whole();
    const inside = [];
    days.forEach((day, at) => { if ((day + 1) * DAY > span.min && day * DAY < span.max) inside.push(at); });
    const names = Math.min(160, 0.45 * heat.clientWidth, 12 + 7 * Math.max(...data.heat.map(([name]) => name.length)));
    const room = heat.clientWidth - names, most = Math.max(8, Math.min(60, Math.floor(room / 16)));
    const step = Math.max(1, Math.ceil(inside.length / most)), bins = [];
    for (let at = 0; at < inside.length; at += step) bins.push(inside.slice(at, at + step));
    const wide = Math.max(15, Math.min(56, Math.floor(room / bins.length) - 1)), every = Math.ceil(92 / (wide + 1));
    const grid = element("table", null, { class: "heat", "aria-label": "Drift by column and time" });
    const head = element("tr"), top = element("thead");
    head.append(element("td"));
    bins.forEach((bin, at) => {
      const cell = element("th", at % every ? "" : new Date(days[bin[0]] * DAY * 1000).toISOString().slice(0, 10), { scope: "col" });
      if (at % every === 0) { cell.colSpan = Math.min(every, bins.length - at); head.append(cell); }
    });
    top.append(head);
    const body = element("tbody");
    for (const [place, [name, levels]] of data.heat.entries()) {
      const row = element("tr"), title = element("th", null, { scope: "row", title: name });
      if (document.getElementById(`column-${place}`)) title.append(columnLink(place, name));
      else title.textContent = plain(name);
      row.append(title);
      for (const bin of bins) {
        const known = bin.map((at) => levels[at]).filter((one) => one != null);
        const worst = known.length ? Math.max(...known) : null;
        const level = worst == null ? "" : `heat${worst < 0.5 ? 0 : worst < 1 ? 1 : worst < 2 ? 2 : worst < 4 ? 3 : 4}`;
        const when = new Date(days[bin[0]] * DAY * 1000).toISOString().slice(0, 10);
        const text = worst == null ? "not measured" : `${number(worst)} times the threshold`;
        const cell = element("td", null, { class: level, title: `${name}, ${when}: ${text}` });
        cell.append(element("span", worst == null ? "" : number(worst), { class: "hidden" }));
        cell.style.minWidth = `${wide}px`;
        row.append(cell);
      }
      body.append(row);
    }
    grid.append(top, body);
    heat.replaceChildren(grid);
  };

  document.querySelectorAll("[data-days]").forEach((button) => button.addEventListener("click", () => {
    const span = Number(button.dataset.days);
    if (!span) return reset();
    zoom(last - span * DAY, last + DAY / 2);
    press(span);
  }));
  if (box) box.addEventListener("keydown", (event) => {
    const chart = charts[0];
    if (!chart) return;
    const { min, max } = chart.scales.x, middle = (min + max) / 2, width = max - min;
    const at = chart.cursor.idx == null ? times.length - 1 : chart.cursor.idx;
    const move = (to) => {
      const place = Math.max(0, Math.min(times.length - 1, to));
      chart.setCursor({ left: chart.valToPos(times[place], "x"), top: 20 });
      readout.textContent = describe(place);
    };
    const keys = {
      ArrowLeft: () => move(at - 1), ArrowRight: () => move(at + 1), Home: () => move(0), End: () => move(times.length - 1),
      "+": () => { zoom(middle - width / 4, middle + width / 4); press(-1); },
      "-": () => { zoom(middle - width, middle + width); press(-1); }, 0: reset, Escape: reset,
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  if (box) box.addEventListener("dblclick", () => setTimeout(reset));
  const openAddressed = () => {
    const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (wanted && wanted.tagName === "DETAILS") wanted.open = true;
  };
  addEventListener("hashchange", openAddressed);
  // On paper: light, as wide as A4, the newest decisions and all events open, as it was afterwards.
  let opened = [];
  addEventListener("beforeprint", () => {
    const wanted = [...[...document.querySelectorAll("details.decision")].slice(0, 3), ...document.querySelectorAll("details.events")];
    opened = wanted.filter((one) => !one.open);
    opened.forEach((one) => { one.open = true; });
    document.documentElement.dataset.printed = "yes";
    draw();
    drawHeat();
  });
  addEventListener("afterprint", () => {
    opened.forEach((one) => { one.open = false; });
    delete document.documentElement.dataset.printed;
    draw();
    drawHeat();
  });
  let waiting, width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 120);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  openAddressed();
  draw();
  if (!times.length || !box) drawHeat();
  document.documentElement.dataset.ready = "yes";
})();
