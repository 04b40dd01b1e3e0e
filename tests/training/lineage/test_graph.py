"""Graphs of families: what reaches what, in which order, and how it is drawn."""

import re

from training.lineage.drawing import ROW, WIDTH, draw, shortened
from training.lineage.graph import (
    Edge,
    Graph,
    Kind,
    Node,
    Relation,
    in_order,
    near_the_focus,
    reached,
    relations,
)


def nodes(*keys: str) -> dict[str, Node]:
    return {key: Node(key, "policy", key, f"about {key}", f"/{key}/") for key in keys}


# first labels -> rm -> ppo; ppo's samples stand in second, from which dpo learned.
EDGES = [
    Edge("rm", "first", Kind.LEARNED),
    Edge("rm", "base", Kind.STARTED),
    Edge("ppo", "rm", Kind.SCORED),
    Edge("ppo", "base", Kind.STARTED),
    Edge("run", "ppo", Kind.MADE_BY),
    Edge("second", "run", Kind.HOLDS),
    Edge("dpo", "second", Kind.LEARNED),
    Edge("later", "dpo", Kind.STARTED),
]


def test_what_is_reached_forward_and_back():
    assert reached(["rm"], EDGES) == {"ppo", "run", "second", "dpo", "later"}
    assert reached(["ppo"], EDGES, back=True) == {"rm", "base", "first"}
    assert reached(["later"], EDGES) == set()


def test_direct_inherited_distant_and_held_out_are_told_apart():
    models = ["rm", "ppo", "dpo", "later", "measured"]
    assert relations(models, EDGES, learned=["rm"]) == {
        "rm": Relation.DIRECT,
        "ppo": Relation.INHERITED,
        "dpo": Relation.DISTANT,
        "later": Relation.DISTANT,
        "measured": Relation.HELD_OUT,
    }


def test_a_model_that_learned_from_it_itself_is_direct_whatever_else_it_is():
    found = relations(["rm", "dpo", "later"], EDGES, learned=["rm", "dpo"])
    assert found == {
        "rm": Relation.DIRECT,
        "dpo": Relation.DIRECT,
        "later": Relation.INHERITED,
    }


def test_nothing_stands_above_what_was_made_of_it():
    graph = in_order(nodes("base", "first", "rm", "run", "ppo", "second", "dpo", "later"), EDGES)
    order = [node.key for node in graph.nodes]
    assert order[0] == "later"
    assert all(order.index(edge.made) < order.index(edge.of) for edge in EDGES)


def test_a_circle_loses_no_node():
    round_and_round = [Edge("a", "b", Kind.STARTED), Edge("b", "a", Kind.STARTED)]
    assert {n.key for n in in_order(nodes("a", "b", "c"), round_and_round).nodes} == {"a", "b", "c"}


def test_only_the_nearest_are_kept_and_the_rest_is_counted():
    chain = [Edge(f"m{n}", f"m{n + 1}", Kind.STARTED) for n in range(9)]
    graph = in_order(nodes(*(f"m{n}" for n in range(10))), chain)
    near = near_the_focus(graph, "m5", 3)
    assert {node.key for node in near.nodes} == {"m4", "m5", "m6"}
    assert [(edge.made, edge.of) for edge in near.edges] == [("m4", "m5"), ("m5", "m6")]
    assert near.left_out == 7
    assert near_the_focus(graph, "m5", 30).left_out == 0


def test_boxes_stand_one_below_the_other_inside_the_drawing():
    keys = ("base", "first", "rm", "run", "ppo", "second", "dpo", "later")
    drawing = draw(in_order(nodes(*keys), EDGES))
    assert drawing.height == ROW * len(keys)
    assert len(drawing.lines) == len(EDGES)
    for row, box in enumerate(drawing.boxes):
        assert box.dot_y == ROW * row + ROW / 2
        assert 0 < box.dot_x < box.x
        assert box.x + box.width <= WIDTH


def test_a_line_passes_through_no_other_dot():
    """m0 starts from m3, two rows further down than what it was scored by."""
    edges = [
        Edge("m0", "m1", Kind.SCORED),
        Edge("m0", "m3", Kind.STARTED),
        Edge("m1", "m2", Kind.STARTED),
    ]
    drawing = draw(in_order(nodes("m0", "m1", "m2", "m3"), edges))
    dots = {(box.dot_x, box.dot_y): box.node.key for box in drawing.boxes}
    (long,) = [line for line in drawing.lines if "C" in line.path and "V" in line.path]
    lane = float(re.search(r"([\d.]+) [\d.]+V", long.path).group(1))
    middle = [key for (x, y), key in dots.items() if x == lane and key in {"m1", "m2"}]
    assert middle == []


def test_edges_of_a_kind_share_a_lane_and_many_lanes_shrink():
    fan = [Edge(f"m{n}", "base", Kind.STARTED) for n in range(30)]
    keys = [f"m{n}" for n in range(30)]
    shared = draw(Graph([nodes(key)[key] for key in (*keys, "base")], fan))
    assert {box.x for box in shared.boxes} == {6 + 2 * 15}
    crossing = [Edge(f"m{n}", f"of{n}", Kind.STARTED) for n in range(30)]
    names = [*keys, *(f"of{n}" for n in range(30))]
    wide = draw(Graph([nodes(key)[key] for key in names], crossing))
    assert all(box.x <= 6 + 130 for box in wide.boxes)


def test_long_names_are_shortened_and_chinese_is_wide():
    assert shortened("policy v12", 20) == "policy v12"
    assert shortened("policy v12", 8) == "policy …"
    assert shortened("策略模型", 6) == "策略…"
