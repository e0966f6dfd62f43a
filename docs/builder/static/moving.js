"use strict";
// Draws the figures that move. Their numbers are in the page, as docs/builder/moving.py describes them.

const WIDTH = 420, HEIGHT = 280, LEFT = 52, RIGHT = 10, TOP = 10, BOTTOM = 42, DASHES = ["", "9 4", "2 3", ""], STYLES = ["solid", "dashed", "dotted", "solid"];

function svg(parent, kind, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return parent.appendChild(node);
}

function html(parent, kind, attributes = {}, text = "") {
  const node = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return parent.appendChild(node);
}

// Round numbers between two limits, about five.
function ticks([low, high]) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + 1e-9; at++) found.push(at * step);
  return found;
}

function short(value) {
  return (Math.round(value * 1000) / 1000).toString().replace("-", "\u2212");
}

class Panel {
  constructor(parent, about) {
    this.about = about;
    this.svg = svg(parent, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    this.svg.setAttribute("aria-label", `${about.y} over ${about.x}`);
  }

  // The axes of a choice. They stay the same in all of its frames.
  axes(choice) {
    this.svg.replaceChildren();
    this.xlim = this.about.xlim;
    const [low, high] = Array.isArray(this.about.ylim) ? this.about.ylim : this.about.ylim[choice];
    this.ylim = [low - 0.03 * (high - low), high + 0.03 * (high - low)];
    for (const x of ticks(this.xlim)) {
      svg(this.svg, "path", { class: "grid", d: `M${this.x(x)} ${TOP}V${HEIGHT - BOTTOM}` });
      svg(this.svg, "text", { x: this.x(x), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, short(x));
    }
    for (const y of ticks(this.ylim)) {
      svg(this.svg, "path", { class: "grid", d: `M${LEFT} ${this.y(y)}H${WIDTH - RIGHT}` });
      svg(this.svg, "text", { x: LEFT - 6, y: this.y(y) + 4, "text-anchor": "end" }, short(y));
    }
    const size = { width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
    svg(this.svg, "rect", { class: "frame", x: LEFT, y: TOP, ...size });
    const middle = (TOP + HEIGHT - BOTTOM) / 2;
    svg(this.svg, "text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, this.about.x);
    svg(this.svg, "text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, this.about.y);
    this.lines = [];
  }

  x(value) {
    return LEFT + ((value - this.xlim[0]) / (this.xlim[1] - this.xlim[0])) * (WIDTH - LEFT - RIGHT);
  }

  y(value) {
    return HEIGHT - BOTTOM - ((value - this.ylim[0]) / (this.ylim[1] - this.ylim[0])) * (HEIGHT - TOP - BOTTOM);
  }

  line(number, kind, xs, ys) {
    this.lines[number] ??= svg(this.svg, "path", {
      class: `line ${kind}`, style: `stroke: var(--c${number})`, "stroke-dasharray": DASHES[number],
    });
    this.lines[number].setAttribute("d", ys.map((y, at) => `${at ? "L" : "M"}${this.x(xs[at])} ${this.y(y)}`).join(""));
  }
}

class Figure {
  constructor(place) {
    this.data = JSON.parse(place.querySelector("script").textContent);
    this.choice = Object.keys(this.data.choices)[0];
    const controls = html(place, "div", { class: "controls" });
    if (this.choice) this.chooser(controls);
    const label = html(controls, "label");
    html(label, "span", {}, this.data.slider);
    this.slider = html(label, "input", { type: "range", min: 0, max: this.data.values.length - 1, step: 1 });
    this.slider.value = this.data.start;
    this.shown = html(label, "output");
    this.button = html(controls, "button", { type: "button" }, "Play");
    const panels = html(place, "div", { class: "panels" });
    this.panels = this.data.panels.map((about) => new Panel(panels, about));
    this.legend = html(place, "p", { class: "legend" });
    this.slider.addEventListener("input", () => { this.stop(); this.draw(); });
    this.button.addEventListener("click", () => (this.timer ? this.stop() : this.play()));
    this.axes();
  }

  chooser(controls) {
    const label = html(controls, "label");
    html(label, "span", {}, "run");
    const select = html(label, "select");
    for (const name of Object.keys(this.data.choices)) html(select, "option", { value: name }, name);
    select.addEventListener("change", () => { this.choice = select.value; this.axes(); });
  }

  axes() {
    for (const panel of this.panels) panel.axes(this.choice);
    this.draw();
  }

  play() {
    if (Number(this.slider.value) === Number(this.slider.max)) this.slider.value = 0;
    this.button.textContent = "Pause";
    this.timer = setInterval(() => {
      this.slider.value = Number(this.slider.value) + 1;
      this.draw();
      if (this.slider.value === this.slider.max) this.stop();
    }, 90);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.button.textContent = "Play";
  }

  draw() {
    const frame = Number(this.slider.value);
    const value = short(this.data.values[frame]);
    this.shown.textContent = value;
    this.slider.setAttribute("aria-valuetext", `${this.data.slider} ${value}`);
    this.legend.replaceChildren();
    const drawn = this.panels.map(() => 0);
    for (const line of this.data.choices[this.choice]) {
      const grows = line.y.length === 1, number = drawn[line.panel]++;
      const ys = grows ? line.y[0].slice(0, frame + 1) : line.y[frame];
      const kind = line.label === "all three" ? "total" : "part";
      this.panels[line.panel].line(number, kind, line.x, ys);
      if (line.panel === 0) this.name(line.label, number, kind, grows ? ys.at(-1) : undefined);
    }
  }

  name(label, number, kind, value) {
    const entry = html(this.legend, "span");
    html(entry, "i", { class: kind, style: `border-top-color: var(--c${number}); border-top-style: ${STYLES[number]}` });
    entry.append(value === undefined ? label : `${label} ${short(value)}`);
  }
}

for (const place of document.querySelectorAll(".moving")) new Figure(place);
