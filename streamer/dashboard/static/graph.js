// A topology as a graph: topics to the left, steps by how deep they lie, outputs to the right.
"use strict";
const Graph = (() => {
  const SVG = "http://www.w3.org/2000/svg", WIDE = 168, HIGH = 46, GAP_X = 92, GAP_Y = 22;

  function made(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const cut = (text, most) => text.length > most ? text.slice(0, most - 1) + "…" : text;

  // Nodes with their columns, and edges with what flows along them.
  function laidOut(topology) {
    const nodes = [], edges = [], depth = {};
    const add = (id, kind, column, title, detail) => nodes.push({ id, kind, column, title, detail });
    topology.topics.forEach(topic => add("in " + topic, "topic", 0, topic, "input"));
    for (const step of topology.steps) {
      depth[step.name] = step.from ? (depth[step.from] ?? 1) + 1 : 1;
      add("step " + step.name, "step", depth[step.name], step.name, `${step.model} ${step.version} · ${step.device}`);
      if (step.from) edges.push({ from: "step " + step.from, to: "step " + step.name, flow: "step " + step.from });
      else topology.topics.forEach((topic, at) => edges.push({ from: "in " + topic, to: "step " + step.name, flow: at ? null : "consumed" }));
    }
    const last = 1 + Math.max(0, ...Object.values(depth));
    add("sink", "topic", last, topology.sink ?? "", "predictions");
    add("dead", "dead", last, topology.deadletter ?? "", "dead letters");
    const used = new Set(topology.steps.map(step => step.from).filter(Boolean));
    let told = false;
    for (const step of topology.steps) if (!used.has(step.name)) {
      edges.push({ from: "step " + step.name, to: "sink", flow: told ? null : "answered" });
      edges.push({ from: "step " + step.name, to: "dead", flow: told ? null : "dead" });
      told = true;
    }
    const rows = {};
    for (const node of nodes) {
      const row = rows[node.column] = (rows[node.column] ?? -1) + 1;
      node.x = 1 + node.column * (WIDE + GAP_X);
      node.row = row;
    }
    const most = Math.max(...Object.values(rows)) + 1;
    for (const node of nodes) {
      const free = (most - rows[node.column] - 1) * (HIGH + GAP_Y) / 2;
      node.y = 1 + free + node.row * (HIGH + GAP_Y);
    }
    return { nodes, edges, width: (last + 1) * (WIDE + GAP_X) - GAP_X + 2, height: most * (HIGH + GAP_Y) - GAP_Y + 2 };
  }

  const flows = topology => ({
    consumed: topology.consumed_per_s,
    answered: Math.max(topology.done_per_s - topology.dead_per_s, 0),
    dead: topology.dead_per_s,
    ...Object.fromEntries(topology.steps.map(step => ["step " + step.name, step.answers_per_s])),
  });

  // Draws once; gives what puts later figures onto the edges.
  function draw(place, name, topology, rate) {
    const { nodes, edges, width, height } = laidOut(topology);
    const by = Object.fromEntries(nodes.map(node => [node.id, node]));
    const arrow = "arrow-" + name.replace(/[^\w-]/g, "_");
    const svg = made("svg", { viewBox: `0 0 ${width} ${height}`, width, role: "img" },
      made("defs", {}, made("marker", { id: arrow, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
        made("path", { d: "M0 0L8 4L0 8z" }))));
    const labels = [];
    for (const edge of edges) {
      const a = by[edge.from], b = by[edge.to];
      const x1 = a.x + WIDE, y1 = a.y + HIGH / 2, x2 = b.x, y2 = b.y + HIGH / 2, middle = (x1 + x2) / 2;
      const line = made("path", { d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2 - 1} ${y2}`, "marker-end": `url(#${arrow})` });
      svg.append(line);
      if (edge.flow) labels.push({ edge, line, text: made("text", { class: "rate", x: middle, y: (y1 + y2) / 2 - 5 }) });
    }
    for (const node of nodes) svg.append(made("g", { class: node.kind },
      made("title", {}, `${node.detail}: ${node.title}`),
      made("rect", { x: node.x, y: node.y, width: WIDE, height: HIGH, rx: 8 }),
      made("text", { x: node.x + 10, y: node.y + 19 }, cut(node.title, 22)),
      made("text", { x: node.x + 10, y: node.y + 36, class: "soft" }, cut(node.detail, 27))));
    for (const label of labels) svg.append(label.text);
    place.replaceChildren(svg);
    return now => {
      const told = flows(now);
      for (const { edge, line, text } of labels) {
        text.textContent = rate(told[edge.flow]);
        line.classList.toggle("idle", !(told[edge.flow] > 0));
      }
      svg.setAttribute("aria-label", `${name}: ${now.topics.join(", ")}, ${rate(told.consumed)} in, ` +
        now.steps.map(step => `${step.name} ${rate(step.answers_per_s)}`).join(", ") +
        `, to ${now.sink} ${rate(told.answered)}, to ${now.deadletter} ${rate(told.dead)}`);
    };
  }

  const shape = topology => JSON.stringify([topology.topics, topology.sink, topology.deadletter,
    topology.steps.map(step => [step.name, step.from, step.model, step.version, step.device])]);

  return { draw, shape };
})();
