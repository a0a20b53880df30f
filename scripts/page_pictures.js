/*
 * Draws what a page of Tidemill shows as SVG, as text that a diff shows: boxes, texts, icons and what its canvases were
 * drawn with. `scripts/page_pictures.py` runs the first part before the page and calls the second.
 */
(() => {
  // --- before the page: canvases remember what is painted on them -----------------------------------------------------
  const marks = new WeakMap(); // canvas > what was painted, an object each
  const paths = new WeakMap(); // context or Path2D > commands of its path
  const clips = new WeakMap(); // context > the clips of its states
  const context = CanvasRenderingContext2D.prototype;
  const px = (number) => String(Math.round(number * 10) / 10);

  function after(owner, name, also) {
    const own = owner[name];
    owner[name] = function (...given) {
      also.call(this, ...given);
      return own.apply(this, given);
    };
  }

  const COMMANDS = {
    moveTo: (x, y) => `M${px(x)} ${px(y)}`,
    lineTo: (x, y) => `L${px(x)} ${px(y)}`,
    closePath: () => "Z",
    rect: (x, y, w, h) => `M${px(x)} ${px(y)}h${px(w)}v${px(h)}h${px(-w)}z`,
    arc: (x, y, r, from, to) => {
      const at = (angle) => `${px(x + r * Math.cos(angle))} ${px(y + r * Math.sin(angle))}`;
      if (Math.abs(to - from) >= 6.28) return `M${at(0)}A${px(r)} ${px(r)} 0 1 1 ${at(Math.PI)}A${px(r)} ${px(r)} 0 1 1 ${at(0)}`;
      return `M${at(from)}A${px(r)} ${px(r)} 0 0 1 ${at(to)}`;
    },
  };
  for (const [name, text] of Object.entries(COMMANDS)) {
    for (const owner of [context, Path2D.prototype]) {
      after(owner, name, function (...given) {
        const path = paths.get(this) ?? [];
        let command = text(...given);
        if (command[0] === "L" && path.length === 0) command = `M${command.slice(1)}`;
        path.push(command);
        paths.set(this, path);
      });
    }
  }
  const createPattern = context.createPattern;
  context.createPattern = function (...given) {
    return Object.assign(createPattern.apply(this, given), { isHatch: true });
  };
  after(context, "beginPath", function () { paths.set(this, []); });
  after(context, "save", function () { clips.set(this, [...(clips.get(this) ?? [""]), (clips.get(this) ?? [""]).at(-1)]); });
  after(context, "restore", function () { clips.set(this, (clips.get(this) ?? ["", ""]).slice(0, -1)); });
  after(context, "clip", function (path) {
    const state = clips.get(this) ?? [""];
    const d = (paths.get(path instanceof Path2D ? path : this) ?? []).join("");
    clips.set(this, [...state.slice(0, -1), d]);
  });

  function paint(on, d, how) {
    const { a, d: scale, e, f } = on.getTransform();
    const kept = marks.get(on.canvas) ?? [];
    kept.push({ d, alpha: on.globalAlpha, clip: (clips.get(on) ?? [""]).at(-1), move: e || f ? `translate(${px(e)} ${px(f)})` : "", k: Math.abs(a * scale), ...how });
    marks.set(on.canvas, kept);
  }
  const ink = (style) => (typeof style === "string" ? style : style.isHatch ? "hatch" : "none");
  const current = (on, path) => (paths.get(path instanceof Path2D ? path : on) ?? []).join("");
  const stroke = (on) => ({ stroke: ink(on.strokeStyle), width: on.lineWidth, dash: on.getLineDash().map(px).join(" ") });
  after(context, "fill", function (path) { paint(this, current(this, path), { fill: ink(this.fillStyle) }); });
  after(context, "stroke", function (path) { paint(this, current(this, path), stroke(this)); });
  after(context, "fillRect", function (...box) { paint(this, COMMANDS.rect(...box), { fill: ink(this.fillStyle) }); });
  after(context, "strokeRect", function (...box) { paint(this, COMMANDS.rect(...box), stroke(this)); });
  after(context, "fillText", function (text, x, y) {
    const anchor = { center: "middle", right: "end", end: "end" }[this.textAlign] ?? "start";
    const down = { middle: 0.35, top: 0.9, hanging: 0.8 }[this.textBaseline] ?? 0;
    const size = Number(/([\d.]+)px/.exec(this.font)?.[1] ?? 12);
    paint(this, "", { text, x, y: y + down * size, size, anchor, fill: ink(this.fillStyle) });
  });
  after(context, "clearRect", function (x, y, w, h) {
    if (w >= this.canvas.width && h >= this.canvas.height) marks.delete(this.canvas);
  });

  // --- after it: the page as SVG ----------------------------------------------------------------------------------------
  window.drawPage = (height, title) => {
    const width = document.documentElement.clientWidth;
    const tokens = tokensByColour();
    const classes = new Map(); // declarations > name
    const hatches = new Map();
    let body = [];
    const above = []; // what has a z-index of its own
    let clipCount = 0;
    const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

    function named(declarations) {
      if (!classes.has(declarations)) classes.set(declarations, `k${classes.size.toString(36)}`);
      return classes.get(declarations);
    }

    /** A colour as the token that has it in the light scheme, so that the dark one follows. */
    function colour(text) {
      const [r, g, b, a = 1] = rgba(text);
      if (a === 0) return null;
      const token = tokens.get([r, g, b].join());
      const base = token ? `var(${token})` : `rgb(${r} ${g} ${b})`;
      return { base, a };
    }
    function inked(property, text) {
      const found = colour(text);
      if (!found) return `${property}:none`;
      return `${property}:${found.base}${found.a < 1 ? `;${property}-opacity:${Math.round(found.a * 100) / 100}` : ""}`;
    }

    function box(style, at) {
      const back = colour(style.backgroundColor);
      const sides = ["Top", "Right", "Bottom", "Left"].map((side) => ({ side, width: parseFloat(style[`border${side}Width`]), ink: style[`border${side}Color`], on: style[`border${side}Style`] !== "none" }));
      const drawn = sides.filter((side) => side.on && side.width > 0 && colour(side.ink));
      const all = drawn.length === 4 && new Set(drawn.map((side) => side.ink)).size === 1;
      const radius = Math.min(parseFloat(style.borderTopLeftRadius) * (style.borderTopLeftRadius.includes("%") ? at.width / 100 : 1) || 0, at.height / 2);
      if (back || all) {
        const half = all ? drawn[0].width / 2 : 0;
        const look = [back ? inked("fill", style.backgroundColor) : "fill:none", ...(all ? [inked("stroke", drawn[0].ink), `stroke-width:${drawn[0].width}px`] : [])].join(";");
        body.push(`<rect class="${named(look)}" x="${px(at.left + half)}" y="${px(at.top + half)}" width="${px(at.width - 2 * half)}" height="${px(at.height - 2 * half)}"${radius ? ` rx="${px(radius)}"` : ""}/>`);
      }
      if (all) return;
      for (const { side, width: thick, ink: line } of drawn) {
        const [x, y] = [side === "Right" ? at.right - thick : at.left, side === "Bottom" ? at.bottom - thick : at.top];
        const flat = side === "Top" || side === "Bottom";
        body.push(`<path class="${named(inked("fill", line))}" d="M${px(x)} ${px(y)}h${px(flat ? at.width : thick)}v${px(flat ? thick : at.height)}h${px(flat ? -at.width : -thick)}z"/>`);
      }
    }

    const measure = document.createElement("canvas").getContext("2d");
    function write(text, style, left, top, boxHeight, length) {
      measure.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
      const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = measure.measureText("x");
      const mono = style.fontFamily.toLowerCase().includes("mono");
      const weight = style.fontWeight === "400" ? "" : `;font-weight:${style.fontWeight}`;
      const look = `${inked("fill", style.color)};font-size:${style.fontSize}${weight}${mono ? ";font-family:var(--mono)" : ""}`;
      const y = top + (boxHeight - up - down) / 2 + up;
      body.push(`<text class="${named(look)}" x="${px(left)}" y="${px(y)}" textLength="${px(length)}">${escape(text)}</text>`);
    }

    function words(node, style, clip) {
      const range = document.createRange();
      const text = node.data;
      let line = null;
      const flush = () => {
        if (line && line.text.trim()) {
          let { text: said, right } = line;
          if (right > clip.right + 1) {
            const share = (clip.right - line.left) / (right - line.left);
            said = `${said.slice(0, Math.max(1, Math.floor(said.length * share) - 1))}…`;
            right = clip.right;
          }
          if (line.left < clip.right && line.bottom > clip.top && line.top < clip.bottom) write(said.trimEnd(), style, line.left, line.top, line.bottom - line.top, right - line.left - (said.length - said.trimEnd().length) * 3);
        }
        line = null;
      };
      for (let n = 0; n < text.length; n += 1) {
        range.setStart(node, n);
        range.setEnd(node, n + 1);
        const at = range.getClientRects()[0];
        if (!at || at.width === 0) continue;
        if (line && Math.abs(at.top - line.top) > 3) flush();
        if (!line && /\s/.test(text[n])) continue;
        line ??= { text: "", left: at.left, top: at.top, bottom: at.bottom, right: at.right };
        line.text += /\s/.test(text[n]) ? " " : text[n];
        if (!/\s/.test(text[n])) line.right = at.right;
      }
      flush();
    }

    function icon(element, style, at) {
      const view = element.viewBox.baseVal;
      const shapes = [...element.children].flatMap((shape) => {
        if (shape.localName !== "use") return [{ shape, view: view?.width ? view : null }];
        const symbol = document.querySelector(shape.getAttribute("href"));
        return symbol ? [...symbol.children].map((one) => ({ shape: one, view: symbol.viewBox.baseVal })) : [];
      });
      if (shapes.length === 0 || at.width === 0) return;
      const size = shapes[0].view;
      const free = element.getAttribute("preserveAspectRatio") === "none";
      const [sx, sy] = size?.width ? [at.width / size.width, at.height / size.height] : [1, 1];
      const [kx, ky] = free ? [sx, sy] : [Math.min(sx, sy), Math.min(sx, sy)];
      const inner = shapes.map(({ shape }) => drawn(shape, shape.ownerSVGElement === element ? getComputedStyle(shape) : null, style)).join("");
      if (inner) body.push(`<g transform="translate(${px(at.left)} ${px(at.top)}) scale(${Math.round(kx * 1e4) / 1e4} ${Math.round(ky * 1e4) / 1e4})">${inner}</g>`);
    }

    function lines(own, shape) {
      const [cap, dash] = own ? [own.strokeLinecap, own.strokeDasharray] : [shape.getAttribute("stroke-linecap"), null];
      return [...(cap === "round" ? ["stroke-linecap:round"] : []), ...(dash && dash !== "none" ? [`stroke-dasharray:${dash}`] : [])];
    }

    const KEPT = ["d", "x", "y", "width", "height", "cx", "cy", "r", "rx", "ry", "x1", "y1", "x2", "y2", "points", "transform", "text-anchor"];
    function drawn(shape, own, outer) {
      const resolve = (name) => {
        const said = own ? own[name] : (shape.getAttribute(name) ?? shape.closest(`symbol [${name}]`)?.getAttribute(name) ?? outer[name]);
        return /^currentcolor$/i.test(said) ? outer.color : said;
      };
      if (shape.localName === "title" || shape.localName === "defs" || (own && own.display === "none")) return "";
      const inner = [...shape.children].map((one) => drawn(one, own ? getComputedStyle(one) : null, outer)).join("");
      if (shape.localName === "g") return inner && shape.getAttribute("transform") ? `<g transform="${shape.getAttribute("transform")}">${inner}</g>` : inner;
      const text = shape.localName === "text";
      const width = own ? own.strokeWidth : (shape.getAttribute("stroke-width") ?? outer.strokeWidth);
      const opacity = Number(own ? own.opacity : (shape.getAttribute("opacity") ?? 1));
      const look = [inked("fill", resolve("fill")), ...(resolve("stroke") === "none" ? [] : [inked("stroke", resolve("stroke")), `stroke-width:${width}`, "vector-effect:non-scaling-stroke", ...lines(own, shape)]), ...(opacity < 1 ? [`opacity:${opacity}`] : []), ...(text ? [`font-size:${own?.fontSize ?? "12px"}`] : [])].join(";");
      const kept = KEPT.filter((name) => shape.hasAttribute(name)).map((name) => ` ${name}="${shape.getAttribute(name).replace(/-?\d+\.\d{2,}/g, px)}"`).join("");
      return `<${shape.localName} class="${named(look)}"${kept}${text ? `>${escape(shape.textContent)}</text>` : "/>"}`;
    }

    function canvas(element, at) {
      const k = at.width / element.width;
      const parts = (marks.get(element) ?? []).map((mark) => {
        const look = [
          mark.fill === "hatch" ? `fill:url(#${hatch(element)})` : mark.fill ? inked("fill", mark.fill) : "fill:none",
          ...(mark.stroke ? [inked("stroke", mark.stroke), `stroke-width:${px(mark.width)}`, "stroke-linejoin:round"] : []),
          ...(mark.dash ? [`stroke-dasharray:${mark.dash}`] : []), ...(mark.alpha < 1 ? [`opacity:${Math.round(mark.alpha * 100) / 100}`] : []),
          ...(mark.text !== undefined ? [`font-size:${px(mark.size)}px`] : []),
        ].join(";");
        const move = mark.move ? ` transform="${mark.move}"` : "";
        const clip = mark.clip ? ` clip-path="url(#${clipped(mark.clip)})"` : "";
        if (mark.text !== undefined) return `<text class="${named(look)}" x="${px(mark.x)}" y="${px(mark.y)}" text-anchor="${mark.anchor}"${move}>${escape(mark.text)}</text>`;
        return mark.d ? `<path class="${named(look)}" d="${mark.d}"${move}${clip}/>` : "";
      });
      body.push(`<g transform="translate(${px(at.left)} ${px(at.top)}) scale(${k})">${parts.join("")}</g>`);
    }
    const clipIds = new Map();
    function clipped(d) {
      if (!clipIds.has(d)) clipIds.set(d, `c${(clipCount += 1)}`);
      return clipIds.get(d);
    }
    function hatch() {
      hatches.set("hatch", `<pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse"><path class="${named("fill:none;stroke:var(--soft);stroke-opacity:.28")}" d="M-1 9L9 -1"/></pattern>`);
      return "hatch";
    }

    /** A box that is turned around its middle: the arrows of menus. */
    function turned(element, style, at) {
      const { a, b, c, d } = new DOMMatrix(style.transform);
      const [w, h] = [element.offsetWidth, element.offsetHeight];
      const matrix = [a, b, c, d].map((part) => part.toFixed(3)).join(" ");
      const below = body;
      if (style.zIndex !== "auto") body = above;
      body.push(`<g transform="matrix(${matrix} ${px((at.left + at.right) / 2)} ${px((at.top + at.bottom) / 2)})">`);
      box(style, new DOMRect(-w / 2, -h / 2, w, h));
      body.push("</g>");
      body = below;
    }

    function visit(element, clip) {
      const style = getComputedStyle(element);
      if (style.display === "none" || style.visibility === "hidden" || style.opacity === "0" || element.matches("script, .vh, .sprite, dialog:not([open])")) return;
      const at = element.getBoundingClientRect();
      const contents = style.display === "contents";
      if (!contents && (at.bottom < clip.top || at.top > clip.bottom || at.right < clip.left || at.left > clip.right)) return;
      if (style.transform !== "none" && element.matches("i.pseudo")) return turned(element, style, at);
      if (!contents) box(style, at);
      if (element.localName === "canvas") return canvas(element, at);
      if (element.localName === "svg") return icon(element, style, at);
      if (element.localName === "input" && ["checkbox", "radio"].includes(element.type)) {
        body.push(`<rect class="${named(`fill:none;${inked("stroke", getComputedStyle(document.documentElement).getPropertyValue("--edge"))}`)}" x="${px(at.left + 1)}" y="${px(at.top + 1)}" width="${px(at.width - 2)}" height="${px(at.height - 2)}" rx="3"/>`);
      } else if (element.localName === "input" || element.localName === "select") {
        const said = element.localName === "select" ? (element.selectedOptions[0]?.text ?? "") : element.value || element.placeholder;
        measure.font = `${style.fontSize} ${style.fontFamily}`;
        if (said) write(said, element.value ? style : getComputedStyle(element, "::placeholder"), at.left + parseFloat(style.paddingLeft), at.top, at.height, measure.measureText(said).width);
        return;
      }
      const cuts = style.overflowX !== "visible" || style.overflowY !== "visible";
      const within = cuts ? { left: Math.max(clip.left, at.left), top: Math.max(clip.top, at.top), right: Math.min(clip.right, at.right), bottom: Math.min(clip.bottom, at.bottom) } : clip;
      for (const node of element.childNodes) {
        if (node.nodeType === Node.TEXT_NODE) words(node, style, within);
        else if (node.nodeType === Node.ELEMENT_NODE) visit(node, within);
      }
    }

    materialise();
    const screen = { left: 0, top: 0, right: width, bottom: height };
    visit(document.body, screen);
    const used = new Set([...classes.keys()].flatMap((text) => text.match(/--[\w-]+/g) ?? []));
    const values = (scheme) => [...used].filter((name) => name !== "--mono").map((name) => `${name}:${schemes(name)[scheme]}`).join(";");
    const style = [
      `svg{${values(0)};--paper:${schemes("--paper")[0]};--mono:ui-monospace,SFMono-Regular,Menlo,monospace}`,
      `@media(prefers-color-scheme:dark){svg{${values(1)};--paper:${schemes("--paper")[1]}}}`,
      "text{font-family:Inter,system-ui,sans-serif;white-space:pre}",
      ...[...classes].map(([look, name]) => `.${name}{${look}}`),
    ].join("\n");
    const defs = [...hatches.values(), ...[...clipIds].map(([d, id]) => `<clipPath id="${id}"><path d="${d}"/></clipPath>`)].join("");
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">\n<style>\n${style}\n</style>\n<defs>${defs}</defs>\n<rect width="100%" height="100%" fill="var(--paper)"/>\n${[...body, ...above].join("\n")}\n</svg>\n`;
  };

  /** What stands before and after elements, as elements: only those have a place that can be read. */
  function materialise() {
    const off = new CSSStyleSheet();
    off.replaceSync(".no-before::before, .no-after::after { content: none !important; }");
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, off];
    for (const element of [...document.body.querySelectorAll("*")]) {
      for (const side of ["before", "after"]) {
        const style = getComputedStyle(element, `::${side}`);
        if (style.content === "none" || style.content === "normal" || element.closest("svg")) continue;
        const made = document.createElement("i");
        made.className = "pseudo";
        for (const name of style) made.style.setProperty(name, style.getPropertyValue(name));
        const said = /^"(.+)"$/.exec(style.content);
        if (said) made.textContent = said[1];
        element.classList.add(`no-${side}`);
        if (side === "before") element.prepend(made);
        else element.append(made);
      }
    }
  }

  function rgba(text) {
    const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const alpha = /\/\s*([\d.]+)(%?)\s*\)|rgba\([^)]*,\s*([\d.]+)\s*\)/.exec(text);
    if (!text || text === "none" || text === "transparent") return [0, 0, 0, 0];
    const a = alpha ? Number(alpha[1] ?? alpha[3]) / (alpha[2] ? 100 : 1) : 1;
    const opaque = text.replace(/\s*\/\s*[\d.]+%?\s*\)/, ")").replace(/^rgba\(([^)]*),\s*[\d.]+\s*\)$/, "rgb($1)");
    probe.canvas.width = probe.canvas.height = 1;
    probe.fillStyle = opaque;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a];
  }

  let lists;
  /** The tokens of colour with what they come to in light and in dark. */
  function schemes(name) {
    if (lists?.has(name)) return lists.get(name);
    lists ??= new Map();
    const root = document.documentElement;
    const kept = root.style.colorScheme;
    const read = ["light", "dark"].map((scheme) => {
      root.style.colorScheme = scheme;
      const [r, g, b, a] = rgba(getComputedStyle(root).getPropertyValue(name).trim());
      return a < 1 ? `rgb(${r} ${g} ${b} / ${a})` : `#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
    });
    root.style.colorScheme = kept;
    lists.set(name, read);
    return read;
  }
  const TOKENS = ["--paper", "--panel", "--sunk", "--ink", "--soft", "--line", "--edge", "--tide", "--on-tide", "--wash", "--rejected", "--flagged", "--late", "--duplicate", "--m-accepted", "--m-flagged", "--m-duplicate", "--s1", "--s2", "--s3", "--s4", "--s5", "--s6", "--s7", "--s8"];
  function tokensByColour() {
    const style = getComputedStyle(document.documentElement);
    const found = new Map();
    for (const name of TOKENS) {
      const key = rgba(style.getPropertyValue(name).trim()).slice(0, 3).join();
      if (!found.has(key)) found.set(key, name);
    }
    return found;
  }
})();
