"""A graph as text, as DOT, and as an SVG of its own."""

from __future__ import annotations

from collections import defaultdict
from html import escape

from manifests.audit.graph import KINDS, Edge, Graph, Node

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 230, 34, 70, 10, 20
_LONGEST = 34
_SWEEPS = 6
_FILLS = {
    "package": "#efe7d6",
    "file": "#f6f1e6",
    "image": "#e2efe4",
    "candidate": "#dde9f6",
    "shard": "#e8e4f3",
    "commit": "#ddd6ee",
    "run": "#f9e3da",
    "checkpoint": "#f4cdbd",
}


def tree_of(graph: Graph, *, forwards: bool, lines: int = 200) -> str:
    """Return a graph as an indented tree from its start; what stood before is not unfolded again."""
    after: dict[Node, list[tuple[str, Node]]] = defaultdict(list)
    for edge in graph.edges:
        near, far = (edge.source, edge.target) if forwards else (edge.target, edge.source)
        after[near].append((edge.label if edge.certain else f"{edge.label} (not certain)", far))
    text: list[str] = []
    seen: set[Node] = set()
    stack: list[tuple[int, str, Node]] = [(0, "", graph.start)]
    while stack and len(text) < lines:
        depth, label, node = stack.pop()
        again = node in seen and bool(after[node])
        way = f"{label}: " if label else ""
        text.append(f"{'  ' * depth}{way}{node.kind} {graph.label(node)}" + (" (see above)" if again else ""))
        if not again:
            stack += [(depth + 1, *step) for step in reversed(after[node])]
        seen.add(node)
    if stack:
        text.append(f"... the tree goes on; --json, --dot and --svg have all {len(graph.nodes):,} things")
    return "\n".join(text)


def dot_of(graph: Graph) -> str:
    """Return a graph in DOT, the language of Graphviz."""
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [shape=box, style=filled, fontname="sans-serif"];']
    for node in graph.nodes:
        label = f"{node.kind}\\n{_quoted(graph.label(node))}"
        lines.append(f'  "{_quoted(str(node))}" [label="{label}", fillcolor="{_FILLS[node.kind]}"];')
    for edge in graph.edges:
        style = "" if edge.certain else ", style=dashed"
        ends = f'"{_quoted(str(edge.source))}" -> "{_quoted(str(edge.target))}"'
        lines.append(f'  {ends} [label="{_quoted(edge.label)}"{style}];')
    return "\n".join([*lines, "}", ""])


def svg_of(graph: Graph) -> str:
    """Return a graph as SVG: a column for each kind, what is connected as near as some sweeps bring it.

    Layers with barycentre ordering, after Sugiyama, Tagawa and Toda (1981), section 3.
    """
    columns = _ordered(_columns(graph), graph.edges)
    places = {
        node: (_MARGIN + x * (_WIDTH + _GAP_X), _MARGIN + y * (_HEIGHT + _GAP_Y))
        for x, column in enumerate(columns)
        for y, node in enumerate(column)
    }
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + max(map(len, columns)) * (_HEIGHT + _GAP_Y) - _GAP_Y
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'{head} font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    parts += [_line(edge, places) for edge in graph.edges]
    parts += [_box(graph, node, *place) for node, place in places.items()]
    return "\n".join([*parts, "</svg>", ""])


def _columns(graph: Graph) -> list[list[Node]]:
    """Return the nodes in columns: by kind, and further attempts in a column after the one that they try again."""
    ranks = {node: (KINDS.index(node.kind), 0) for node in graph.nodes}
    again = [edge for edge in graph.edges if edge.source.kind == edge.target.kind]
    for _ in again:
        for edge in again:
            if ranks[edge.target][1] <= ranks[edge.source][1]:
                ranks[edge.target] = (ranks[edge.target][0], ranks[edge.source][1] + 1)
    used = sorted(set(ranks.values()))
    return [[node for node in graph.nodes if ranks[node] == rank] for rank in used]


def _ordered(columns: list[list[Node]], edges: tuple[Edge, ...]) -> list[list[Node]]:
    near: dict[Node, list[Node]] = defaultdict(list)
    for edge in edges:
        near[edge.source].append(edge.target)
        near[edge.target].append(edge.source)
    for sweep in range(_SWEEPS):
        inward = range(1, len(columns)) if sweep % 2 == 0 else range(len(columns) - 2, -1, -1)
        for x in inward:
            heights = {node: y for column in columns for y, node in enumerate(column)}
            before = set(columns[x - 1 if sweep % 2 == 0 else x + 1])
            keys = {
                node: _mean([heights[one] for one in near[node] if one in before], heights[node]) for node in columns[x]
            }
            columns[x] = sorted(columns[x], key=lambda node, keys=keys: keys[node])  # type: ignore[misc]
    return columns


def _mean(values: list[int], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _line(edge: Edge, places: dict[Node, tuple[int, int]]) -> str:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    x1, y1, y2 = x1 + _WIDTH, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    bend = max(30, (x2 - x1) // 2)
    dash = "" if edge.certain else ' stroke-dasharray="4 3"'
    path = f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"
    return f'<path d="{path}" fill="none" stroke="#8a94a3"{dash}><title>{escape(edge.label)}</title></path>'


def _box(graph: Graph, node: Node, x: int, y: int) -> str:
    label = graph.label(node)
    short = label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
    edge, weight = ("#1c2430", 2) if node == graph.start else ("#b6bec9", 1)
    return (
        f'<g><title>{escape(str(node))}\n{escape(label)}</title><rect x="{x}" y="{y}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" rx="4" fill="{_FILLS[node.kind]}" stroke="{edge}" stroke-width="{weight}"/>'
        f'<text x="{x + 8}" y="{y + 14}" fill="#5a6675" font-size="9">{node.kind}</text>'
        f'<text x="{x + 8}" y="{y + 27}" fill="#1c2430">{escape(short)}</text></g>'
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
