// What moves on the page: one view and one moment for all charts, the log, and the map of hosts.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const END = data.duration_s;
  if (!byId("timebar") || END <= 0) return;

  // Times are seconds since the start, everywhere but on Plotly's axes.
  const toMillis = (seconds) => data.start_ms + 1000 * seconds;
  const toSeconds = (shown) => {
    const millis = typeof shown === "number" ? shown : Date.parse(shown.replace(" ", "T") + "Z");
    return (millis - data.start_ms) / 1000;
  };
  const firstDay = new Date(data.start_ms).toISOString().slice(0, 10);
  const clock = (seconds) => {
    const text = new Date(toMillis(seconds)).toISOString();
    const dated = END > 86400 || text.slice(0, 10) !== firstDay;
    return (dated ? text.slice(5, 10) + " " : "") + text.slice(11, 19);
  };
  const number = (value, unit) => {
    const text = value.toLocaleString("en", { maximumSignificantDigits: Math.abs(value) >= 1000 ? 6 : 4 });
    return unit === "$" ? "$" + text : unit ? text + " " + unit : text;
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  /** Place of the last entry of a sorted list that is not above `value`; -1 without any. */
  const lastUpTo = (list, value) => {
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const state = { from: 0, to: END, moment: data.moment_s, hover: null };
  /** The run that the log and the map tell of: the only one, or the variant that is chosen. */
  let details = data.details[0];
  const shownMoment = () => state.hover ?? state.moment;

  // ---- Charts ----
  const touch = matchMedia("(pointer: coarse)").matches;
  const charts = [...document.querySelectorAll("figure[data-figure]")].map((figure) => {
    const spec = data.figures[figure.dataset.figure];
    const box = figure.querySelector(".chart");
    const cursor = element("div", "", "cursor");
    const keys = [...figure.querySelectorAll("[data-trace]")];
    const chart = { figure, spec, box, cursor, keys, drawn: false, near: false, range: null };
    for (const key of keys) {
      key.addEventListener("click", () => {
        const on = key.getAttribute("aria-pressed") !== "true";
        key.setAttribute("aria-pressed", on);
        const traces = [Number(key.dataset.trace)];
        // What lies on an unseen base goes with it.
        if (spec.data[traces[0] - 1]?.stackgroup === "top") traces.push(traces[0] - 1);
        Plotly.restyle(box, { visible: on }, traces);
      });
    }
    const timeAt = (event) => {
      const size = box._fullLayout?._size;
      if (!size) return null;
      const share = (event.clientX - box.getBoundingClientRect().left - size.l) / size.w;
      return share < 0 || share > 1 ? null : state.from + share * (state.to - state.from);
    };
    box.addEventListener("pointermove", (event) => event.pointerType === "mouse" && hover(timeAt(event)));
    box.addEventListener("pointerleave", () => hover(null));
    box.addEventListener("click", (event) => {
      const time = timeAt(event);
      if (time !== null) setMoment(time);
    });
    return chart;
  });

  const outside = { ticks: "outside", ticklen: 5, tickcolor: "rgba(128,128,128,0.5)", zeroline: false };
  const draw = (chart) => {
    const { spec, box } = chart;
    const traces = spec.data.map((trace) => ({ ...trace, x: trace.x.map(toMillis) }));
    const warmup = data.warmup_s > 0 ? [{
      type: "rect", yref: "paper", y0: 0, y1: 1, x0: toMillis(0), x1: toMillis(data.warmup_s),
      fillcolor: "#808080", opacity: 0.15, line: { width: 0 }, layer: "below",
    }] : [];
    const marks = data.occurrences.map(({ from_s, to_s, fault }) => ({
      ...(to_s === null ? { type: "line" } : { type: "rect", fillcolor: "#d55e00", opacity: 0.16 }),
      yref: "paper", y0: 0, y1: 1, x0: toMillis(from_s), x1: toMillis(to_s ?? from_s), layer: "below",
      line: to_s !== null ? { width: 0 } : fault ? { color: "#d55e00", width: 2 } : { color: "#808080", width: 1.5, dash: "dot" },
    }));
    chart.range = [state.from, state.to];
    const layout = {
      ...spec.layout,
      xaxis: { type: "date", range: chart.range.map(toMillis), nticks: innerWidth < 640 ? 5 : 9, ...outside },
      yaxis: { ...spec.layout.yaxis, ...outside },
      shapes: [...warmup, ...marks], margin: { l: 62, r: 14, t: 8, b: 40 }, showlegend: false, hovermode: false,
      dragmode: touch ? false : "zoom", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12 }, separators: ".,",
    };
    Plotly.newPlot(box, traces, layout, { displayModeBar: false, responsive: true, doubleClick: false, showTips: false });
    box.append(chart.cursor);
    box.on("plotly_relayout", (change) => {
      if (!("xaxis.range[0]" in change)) return;
      setView(toSeconds(change["xaxis.range[0]"]), toSeconds(change["xaxis.range[1]"]));
    });
    box.on("plotly_doubleclick", () => setView(0, END));
    box.on("plotly_afterplot", () => placeCursor(chart));
    chart.drawn = true;
    tellValues(chart);
    placeCursor(chart);
  };

  /** Brings a chart up to date: only those near what is seen are, the others when they come near. */
  const refresh = (chart) => {
    if (chart.figure.hidden) return;
    if (!chart.drawn) return draw(chart);
    if (chart.range[0] === state.from && chart.range[1] === state.to) return;
    chart.range = [state.from, state.to];
    Plotly.relayout(chart.box, { "xaxis.range": chart.range.map(toMillis) });
  };

  const placeCursor = ({ box, cursor, drawn }) => {
    const size = drawn && box._fullLayout?._size;
    if (!size) return;
    const share = (shownMoment() - state.from) / (state.to - state.from);
    cursor.style.display = share < 0 || share > 1 ? "none" : "block";
    cursor.style.left = size.l + share * size.w + "px";
    cursor.style.height = size.h + "px";
  };

  /** What a trace says at a time; undefined before its first point. */
  const valueAt = ({ x, y }, sloped, time) => {
    const place = lastUpTo(x, time);
    if (!sloped || place < 0 || place + 1 >= x.length) return y[place];
    const share = (time - x[place]) / (x[place + 1] - x[place] || 1);
    return y[place] + share * (y[place + 1] - y[place]);
  };
  const tellValues = ({ spec, keys }) => {
    for (const key of keys) {
      const place = Number(key.dataset.trace);
      const trace = spec.data[place];
      const value = valueAt(trace, spec.sloped[place], shownMoment());
      const yesOrNo = trace.yaxis === "y2";
      const text = value === undefined ? "" : yesOrNo ? (value > 0 ? "yes" : "no") : number(value, spec.unit);
      key.querySelector("output").textContent = text;
    }
  };

  const watcher = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      const chart = charts.find(({ figure }) => figure === target);
      chart.near = isIntersecting;
      if (isIntersecting) update(chart);
    }
  }, { rootMargin: "600px" });
  charts.forEach(({ figure }) => watcher.observe(figure));
  const update = (chart) => {
    refresh(chart);
    tellValues(chart);
    placeCursor(chart);
  };

  // ---- The view and the moment ----
  let pending = 0;
  /** All that shows the view or the moment, once a frame at most. */
  const show = () => {
    if (pending) return;
    pending = requestAnimationFrame(() => {
      pending = 0;
      charts.filter(({ near }) => near).forEach(update);
      tellTime();
      showMap();
    });
  };

  const sliders = [byId("moment"), byId("moment-too")].filter(Boolean);
  const tellTime = () => {
    byId("view").textContent = state.from === 0 && state.to === END ? "In view: the whole run" : `In view: ${clock(state.from)} – ${clock(state.to)}`;
    for (const slider of sliders) {
      const text = clock(shownMoment());
      slider.min = state.from;
      slider.max = state.to;
      slider.step = (state.to - state.from) / 1000;
      if (state.hover === null) slider.value = state.moment;
      slider.setAttribute("aria-valuetext", text);
    }
    for (const id of ["clock", "clock-too"]) if (byId(id)) byId(id).textContent = clock(shownMoment());
  };

  const setView = (from, to) => {
    const least = Math.min(END, 10);
    const length = clamp(to - from, least, END);
    const begin = clamp(from + (to - from - length) / 2, 0, END - length);
    [state.from, state.to] = [begin, begin + length];
    state.moment = clamp(state.moment, state.from, state.to);
    showLog();
    show();
  };
  const setMoment = (time) => {
    state.moment = clamp(time, 0, END);
    state.hover = null;
    markLine();
    show();
  };
  const hover = (time) => {
    if (time === state.hover) return;
    state.hover = time;
    show();
  };

  for (const slider of sliders) slider.addEventListener("input", () => setMoment(Number(slider.value)));
  const length = () => state.to - state.from;
  const around = (span) => setView(state.moment - span / 2, state.moment + span / 2);
  const moves = {
    earlier: () => setView(state.from - length() / 2, state.to - length() / 2),
    later: () => setView(state.from + length() / 2, state.to + length() / 2),
    in: () => around(length() / 2),
    out: () => around(length() * 2),
    all: () => setView(0, END),
  };
  document.querySelectorAll("[data-view]").forEach((button) => button.addEventListener("click", moves[button.dataset.view]));

  // What the charts mark: when it was, and the way there.
  for (const button of document.querySelectorAll("[data-moment]")) {
    const time = Number(button.dataset.moment);
    button.querySelector("span").textContent = clock(time);
    button.addEventListener("click", () => setMoment(time));
  }

  // ---- One service at a time ----
  const chooser = byId("service");
  const choose = () => {
    for (const chart of charts) {
      const of = chart.figure.dataset.service;
      chart.figure.hidden = Boolean(chooser && of && of !== chooser.value);
    }
    show();
  };
  chooser?.addEventListener("change", choose);

  // ---- The log ----
  const lines = byId("log-lines");
  const kinds = byId("kinds");
  const STEP = 150;
  /** What is in view, and which of it is listed: a page cannot hold thousands of lines. */
  const log = { inView: [], begin: 0, end: 0 };
  let filters = [];
  /** The kinds of decisions that the run has. */
  function offerKinds() {
    if (!lines) return;
    const { kinds: names, lines: decisions, note } = details.log;
    const placement = names.indexOf("placement");
    filters = [];
    kinds.replaceChildren();
    const offer = (name, wanted) => {
      const count = decisions.filter(([, kind]) => wanted(kind)).length;
      if (count > 0) kinds.append(new Option(`${name} (${count})`, filters.push(wanted) - 1));
    };
    offer("all but placement", (kind) => kind !== placement);
    offer("all", () => true);
    names.forEach((name, place) => offer(name, (kind) => kind === place));
    byId("log-note").textContent = note;
  }
  kinds?.addEventListener("change", () => showLog());
  const logLine = ([time, , what, why, rule, numbers]) => {
    const item = element("li");
    const jump = element("button", clock(time));
    jump.type = "button";
    jump.title = "Go to this moment";
    jump.addEventListener("click", () => setMoment(time));
    item.append(jump, " ", element("strong", what), element("br"), " " + why);
    const more = element("details");
    const title = details.log.rules[rule];
    more.append(element("summary", title ? `${rule}: ${title}` : rule || "numbers"), numbers);
    item.append(more);
    return item;
  };
  const moreLines = (text, extend) => {
    const item = element("li", "", "more");
    const button = element("button", text);
    button.type = "button";
    button.addEventListener("click", () => {
      extend();
      listLines();
    });
    item.append(button);
    return item;
  };
  function listLines() {
    const { inView, begin, end } = log;
    const before = begin > 0 ? [moreLines("Show earlier ones", () => (log.begin = Math.max(0, begin - STEP)))] : [];
    const after = end < inView.length ? [moreLines("Show later ones", () => (log.end = end + STEP))] : [];
    lines.replaceChildren(...before, ...inView.slice(begin, end).map(logLine), ...after);
  }
  function showLog() {
    if (!lines) return;
    const wanted = filters[Number(kinds.value)];
    log.inView = details.log.lines.filter(([time, kind]) => time >= state.from && time <= state.to && wanted(kind));
    log.begin = log.end = 0;
    byId("log-count").textContent = `${log.inView.length} in view`;
    markLine();
  }
  /** The last decision before the moment is listed, marked, and scrolled to within the log. */
  function markLine() {
    if (!lines) return;
    const place = Math.max(0, lastUpTo(log.inView.map(([time]) => time), state.moment));
    if (place < log.begin || place >= log.end) {
      log.begin = Math.max(0, place - STEP / 2);
      log.end = log.begin + STEP;
      listLines();
    }
    lines.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const item = lines.children[place - log.begin + (log.begin > 0)];
    if (!item || item.className === "more") return;
    item.setAttribute("aria-current", "true");
    lines.scrollTop = item.offsetTop - lines.offsetTop - lines.clientHeight / 3;
  }

  // ---- The map of hosts ----
  let tiles = [];
  let chosen = null;
  /** Lays out a tile for each host of the run, and the legend of whose tasks they hold. */
  function layMap() {
    if (!byId("map")) return;
    const { map } = details;
    tiles = [];
    chosen = null;
    byId("map").replaceChildren();
    const zones = [...new Set(map.hosts.map((host) => host[1]))].sort();
    for (const zone of zones) {
      const section = element("div", "", "zone");
      const hosts = element("div", "", "hosts");
      section.append(element("h3", zone), hosts);
      map.hosts.forEach((host, place) => {
        if (host[1] !== zone) return;
        const tile = element("button", "", "host");
        tile.type = "button";
        tile.setAttribute("aria-pressed", "false");
        const bars = element("span");
        const [cpu, memory] = [element("i"), element("i")];
        bars.append(cpu, memory);
        tile.append(bars, element("b", "…" + host[0].slice(-6)), element("b", host[3]));
        tile.addEventListener("click", () => {
          chosen = chosen === place ? null : place;
          showMap();
        });
        hosts.append(tile);
        tiles[place] = { tile, cpu, memory, told: "" };
      });
      byId("map").append(section);
    }
    const entry = (name, className, colour) => {
      const [item, box] = [element("li"), element("i", "", className)];
      if (colour) box.style.setProperty("--c", colour);
      item.append(box, name);
      return item;
    };
    byId("map-legend").replaceChildren(...map.groups.map(({ name, colour }) => entry(name, "area", colour)), entry("free", "free"));
    byId("map-note").textContent = map.note;
  }
  const percent = (part, whole) => (whole > 0 ? Math.round((100 * part) / whole) : 0) + " %";
  const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
  /** Bands of colour from below, one a group. */
  const bar = (parts, whole) => {
    let height = 0;
    const bands = parts.map(([group, amount]) => {
      const from = height;
      height += (100 * amount) / Math.max(whole, 1);
      return `${details.map.groups[group].colour} ${from}% ${height}%`;
    });
    return `linear-gradient(to top, ${[...bands, `transparent ${height}%`].join(", ")})`;
  };
  function showMap() {
    if (!byId("map")) return;
    const { map } = details;
    const exact = shownMoment();
    const now = map.frame_s > 0 ? Math.floor(exact / map.frame_s) * map.frame_s : exact;
    const on = map.hosts.map(() => new Map());
    for (const [host, group, definition, from, to] of map.stays) {
      if (from > now) break;
      if (to <= now && to < END) continue;
      const [cpu, memory] = map.definitions[definition];
      const sum = on[host].get(group) ?? [0, 0, 0];
      on[host].set(group, [sum[0] + 1, sum[1] + cpu, sum[2] + memory]);
    }
    const total = { hosts: 0, booting: 0, leaving: 0, empty: 0, cpu: 0, memory: 0, ofCpu: 0, ofMemory: 0 };
    map.hosts.forEach(([id, zone, group, type, launched, registered, leaves, gone, cpu, memory], place) => {
      const { tile, ...bars } = tiles[place];
      const alive = launched <= now && (gone === null || gone > now);
      tile.hidden = !alive;
      tile.setAttribute("aria-pressed", chosen === place);
      if (!alive && chosen === place) tiles[place].told = `${id} is not there at ${clock(now)}.`;
      if (!alive) return;
      const groups = [...on[place]].sort((a, b) => a[0] - b[0]);
      const used = groups.reduce((sum, [, parts]) => [sum[0] + parts[1], sum[1] + parts[2]], [0, 0]);
      const booting = registered === null || registered > now;
      const leaving = leaves !== null && leaves <= now;
      tile.classList.toggle("booting", booting);
      tile.classList.toggle("leaving", leaving);
      bars.cpu.style.background = bar(groups.map(([key, parts]) => [key, parts[1]]), cpu);
      bars.memory.style.background = bar(groups.map(([key, parts]) => [key, parts[2]]), memory);
      const what = groups.map(([key, parts]) => `${plural(parts[0], "task")} of ${map.groups[key].name}`).join(", ") || "no task";
      const how = booting ? "booting, " : leaving ? "leaving, " : "";
      tiles[place].told =
        `${id}, ${type} of ${group} in ${zone}: ${how}${what}; ${number(used[0])} of ${number(cpu)} CPU units and ` +
        `${number(used[1])} of ${number(memory)} MiB reserved.`;
      tile.title = tiles[place].told;
      total.hosts += 1;
      total.booting += booting;
      total.leaving += leaving && !booting;
      if (booting) return;
      total.empty += groups.length === 0;
      total.cpu += used[0];
      total.memory += used[1];
      total.ofCpu += cpu;
      total.ofMemory += memory;
    });
    byId("map-told").textContent = tiles.length === 0 ? `${clock(now)}: this run has no tasks on hosts.` :
      `${clock(now)}: ${plural(total.hosts, "host")} (${total.booting} booting, dotted; ${total.leaving} leaving, dashed), ` +
      `${percent(total.cpu, total.ofCpu)} of the CPU and ${percent(total.memory, total.ofMemory)} of the memory reserved, ${total.empty} empty.`;
    byId("host-told").textContent = chosen === null ? "" : tiles[chosen].told;
  }

  // ---- One of several runs ----
  const variants = [byId("variant"), byId("variant-too")].filter(Boolean);
  const showDetails = (place) => {
    details = data.details[place];
    for (const chooser of variants) chooser.selectedIndex = place;
    offerKinds();
    showLog();
    layMap();
    showMap();
  };
  for (const chooser of variants) chooser.addEventListener("change", () => showDetails(chooser.selectedIndex));

  const play = byId("play");
  let playing = 0;
  play?.addEventListener("click", () => {
    clearInterval(playing);
    playing = playing ? 0 : setInterval(() => {
      setMoment(state.moment >= state.to ? state.from : state.moment + length() / 400);
    }, 80);
    play.setAttribute("aria-pressed", playing !== 0);
    play.textContent = playing ? "Pause" : "Play";
  });

  // ---- Paper ----
  // Plotly sizes its charts in pixels: those of the sheet for the time of printing.
  addEventListener("beforeprint", () => {
    for (const chart of charts.filter(({ figure }) => !figure.hidden)) {
      update(chart);
      Plotly.relayout(chart.box, { autosize: false, width: 680, height: 220 });
    }
  });
  addEventListener("afterprint", () => {
    for (const { box, drawn } of charts) if (drawn) Plotly.relayout(box, { autosize: true, width: null, height: null });
  });

  choose();
  tellTime();
  showDetails(0);
})();
