"""New values in a YAML text, everything else as it was: comments, order, quotes, anchors and the spaces before a comment.

Loading and dumping would rewrite every line. Here the text is cut at the marks that the parser gives each value, and only the pieces
of changed, added and removed keys are exchanged. A section that inherits keys (`<<: *other`) keeps doing so: a key that must differ
from the inherited one is written out below it.
"""

import io
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from penumbra.workflow.changes import same

MERGE = "<<"
INDENT = 2
FLOW_WIDTH = 100  # a new section that is longer has a line for each key

AMBIGUOUS = re.compile(r"(?i:y|n|yes|no|on|off)|[-+.\d][\w.:+-]*")  # texts that YAML 1.1, which Hydra reads, may take for something else
ANCHORS = re.compile(r"(?:^|[\s\[{,:-])[&*]\w", re.MULTILINE)

Edit = tuple[int, int, str]  # from, to, and what stands there instead


def rewritten(text: str, wanted: Mapping[str, Any]) -> str:
    """A text that is as near to `text` as can be, and reads as `wanted`.

    Where an anchor inside of a list or of `{...}` stands in the way, the sections of the first level that have anchors are written anew.
    """
    text = text if text.endswith("\n") else f"{text}\n"
    root = YAML(typ="safe", pure=True).compose(text)
    if isinstance(root, MappingNode) and not root.flow_style:
        starts = [key.start_mark.index for key, _ in root.value]
        spans = zip(root.value, starts, [*starts[1:], len(text)], strict=True)
        entangled = {key.value for (key, _), start, end in spans if ANCHORS.search(text, start, end)}
        for anew in (set(), entangled):
            found = _edited(text, root, wanted, anew)
            if reads_as(found, wanted):
                return found
    return "\n".join(_block(wanted, 0)) + "\n"


def reads_as(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a YAML text has this content."""
    try:
        return same(YAML(typ="safe", pure=True).load(text), wanted)
    except YAMLError:
        return False


def _edited(text: str, root: MappingNode, wanted: Mapping[str, Any], anew: set[str]) -> str:
    """The text with its changes; those sections of the first level that are named in `anew` are written anew."""
    editor = _Editor(text, anew)
    editor.section(root, wanted)
    # from the end, so that marks stay true; of two at one place the later, which is of the outer section, goes behind
    for start, end, new in reversed(sorted(editor.edits, key=lambda edit: edit[:2])):
        text = text[:start] + new + text[end:]
    return text


class _Editor:
    """Collects the edits of one text."""

    def __init__(self, text: str, anew: set[str]):
        self.text = text
        self.anew = anew
        self.edits: list[Edit] = []
        self._wanted: dict[int, Any] = {}  # what each value will be, by the identity of its node: an alias is the node of its anchor

    def section(self, node: MappingNode, wanted: Mapping[str, Any], depth: int = 0) -> None:
        """Edit a block section."""
        own = {key.value: (key, value) for key, value in node.value if key.value != MERGE}
        merges = [(key, value) for key, value in node.value if key.value == MERGE]
        inherited = self._inherited([value for _, value in merges])
        if inherited is None or inherited.keys() - wanted.keys():  # a key that is to go cannot be taken out of what is inherited
            inherited = {}
            self.edits += [self._lines_of(key, value) for key, value in merges]
        for name, (key, value) in own.items():
            if name not in wanted:
                self.edits.append(self._lines_of(key, value))
            else:
                self._value(key, value, wanted[name], depth)
        missing = {name: value for name, value in wanted.items() if name not in own and not same(inherited.get(name, self), value)}
        if missing:
            end = self._line_end(self._end(*node.value[-1]))
            self.edits.append((end, end, "".join(f"{line}\n" for line in _block(missing, node.value[0][0].start_mark.column))))

    def _inherited(self, sources: list[Node]) -> dict[str, Any] | None:
        """What a section takes over from anchors, as they will be; None if one of them is to go. The first of a list counts."""
        found: dict[str, Any] = {}
        for source in reversed(sources):
            new = self._wanted.get(id(source)) if isinstance(source, MappingNode) else self._inherited(source.value)
            if not isinstance(new, Mapping):
                return None
            found |= new
        return found

    def _value(self, key: Node, node: Node, wanted: Any, depth: int) -> None:
        """Edit the value of a key."""
        anew = depth == 0 and key.value in self.anew
        if _is_alias(key, node):
            if not same(self._wanted.get(id(node), self), wanted):
                self.edits.append((key.end_mark.index, self._end(key, node), f": {flow(wanted)}"))
            return
        self._wanted[id(node)] = wanted
        if _is_block(node) and isinstance(node, MappingNode) and isinstance(wanted, Mapping) and wanted and not anew:
            self.section(node, wanted, depth + 1)
        elif anew or not same(_content(node), wanted):
            self._replace(key, node, wanted)

    def _replace(self, key: Node, node: Node, wanted: Any) -> None:
        """Exchange a value; a comment behind it stays in its column."""
        anchor = f" &{node.anchor}" if node.anchor else ""
        start, end = key.end_mark.index, self._end(key, node)
        if isinstance(wanted, Mapping) and wanted and (_is_block(node) or len(flow(wanted)) > FLOW_WIDTH):
            self.edits.append((start, end, "\n".join([f":{anchor}", *_block(wanted, key.start_mark.column + INDENT)])))
            return
        new = f":{anchor} {flow(wanted)}"
        if gap := re.compile(r"( +)#").match(self.text, end):
            column = end - self.text.rfind("\n", 0, end) + len(gap[1])
            padding = column - (start - self.text.rfind("\n", 0, start)) - len(new)
            new, end = new + " " * max(padding, 2), end + len(gap[1])
        self.edits.append((start, end, new))

    def _lines_of(self, key: Node, node: Node) -> Edit:
        """The edit that takes out the lines of a key."""
        return self.text.rfind("\n", 0, key.start_mark.index) + 1, self._line_end(self._end(key, node)), ""

    def _line_end(self, index: int) -> int:
        return self.text.index("\n", index) + 1

    def _end(self, key: Node | None, node: Node) -> int:
        """Where the text of a value ends. The parser's mark of a block, or of nothing, stands behind the comments that follow."""
        if _is_block(node) and not (key and _is_alias(key, node)):
            entry = node.value[-1]
            return self._end(*entry) if isinstance(node, MappingNode) else self._end(None, entry)
        if key and _is_alias(key, node):
            return re.compile(r"\s*:\s*\*[^\s,\]}]+").match(self.text, key.end_mark.index).end()
        if node.start_mark.index == node.end_mark.index and key:  # `key:` and nothing, which is null
            return self.text.index(":", key.end_mark.index) + 1
        return node.end_mark.index


def _is_alias(key: Node, node: Node) -> bool:
    """Whether the value of a key is *name: its node, marks and all, is that of the anchor above."""
    return node.start_mark.index < key.start_mark.index


def _is_block(node: Node) -> bool:
    """Whether a value is a section or list of several lines without brackets."""
    return not isinstance(node, ScalarNode) and not node.flow_style


def _content(node: Node) -> Any:
    """The value of a node."""
    return YAML(typ="safe", pure=True).constructor.construct_document(node)


class _Representer(SafeRepresenter):
    """Writes texts so that YAML 1.1 and 1.2 read the same."""


def _text(representer: SafeRepresenter, value: str) -> Node:
    return representer.represent_scalar("tag:yaml.org,2002:str", value, style="'" if AMBIGUOUS.fullmatch(value) else None)


_Representer.add_representer(str, _text)


def flow(value: Any) -> str:
    """A value on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = True, 1 << 20, False
    yaml.Representer = _Representer
    stream = io.StringIO()
    if isinstance(value, (Mapping, list)):
        yaml.dump(value, stream)
        return stream.getvalue().strip()
    yaml.dump([value], stream)  # in brackets: a lone scalar is followed by the end of a document
    return stream.getvalue().strip()[1:-1]


def _block(section: Mapping[str, Any], column: int) -> list[str]:
    """The lines of a section; what is short stands on one of them."""
    lines = []
    for key, value in section.items():
        name = " " * column + flow(key)
        if isinstance(value, Mapping) and value and len(name) + len(flow(value)) > FLOW_WIDTH:
            lines += [f"{name}:", *_block(value, column + INDENT)]
        else:
            lines.append(f"{name}: {flow(value)}")
    return lines
