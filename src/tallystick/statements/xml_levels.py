"""A large XML 1.0 document read as a stream: one repeating element at a time, in bounded memory.

The caller names a chain of elements (message, statement, entry, …). Each time one of them ends it is handed over as
plain nodes, and its part of the parser's tree is let go.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from lxml import etree

from tallystick.statements.refusals import (
    StatementDoctypeForbiddenError,
    StatementMalformedError,
    StatementNotXmlError,
)
from tallystick.statements.xml_guard import GuardedXml

__all__ = ["Children", "ClosedElement", "Node", "read_root_tag", "stream_levels"]

_Event = Literal["start", "end"]

#: The parser's tree costs up to about forty times the bytes of hostile markup, so only this much may pass
#: without an element of the chain that lets the tree go. An honest header or transaction is a few kilobytes.
_UNRELEASED_SIZE_MAX_BYTES: Final = 1_048_576
_NODES_MAX: Final = 50_000
_DEPTH_MAX: Final = 32
_NAMES_MAX: Final = 1_000
#: Contents that are defined by others and may be anything, an entry's look-alike included.
_SKIPPED: Final = frozenset({"SplmtryData"})


class Node:
    """One element without attributes but the currency: its text, or its children by local name."""

    __slots__ = ("children", "currency", "text")

    def __init__(self, text: str | None, currency: str | None, children: "Children | None") -> None:
        self.text = text
        self.currency = currency
        self.children = children


Children = dict[str, list[Node]]


@dataclass(frozen=True, slots=True)
class ClosedElement:
    """An element of the chain that has ended.

    `level` counts from 0 along the chain. `ancestors` are the children of the elements around it that have been
    read so far, outermost first: what stands before it in the document.
    """

    level: int
    children: Children
    ancestors: tuple[Children, ...]


def read_root_tag(document: GuardedXml) -> str:
    """Return the root element's tag as `{namespace}name`, reading no further than needed.

    Raises StatementNotXmlError, and StatementDoctypeForbiddenError should the parser know of a document type.
    """
    for _, element in _EventSource(document, ("start",)):
        # The type hints leave out that there may be none.
        if cast("object | None", element.getroottree().docinfo.internalDTD) is not None:
            raise StatementDoctypeForbiddenError
        return str(element.tag)
    raise StatementNotXmlError("The document has no root element.")


def stream_levels(document: GuardedXml, *, namespace: str, chain: Sequence[str]) -> Iterator[ClosedElement]:
    """Yield every element of the chain as it ends, inner ones first.

    `chain` are local names in `namespace`: the first is a child of the root, each further one a child of the one
    before. `ClosedElement.children` leaves the next element of the chain out.

    Raises StatementNotXmlError when the document turns out not to be well-formed, and StatementMalformedError when
    it nests or repeats things beyond any use.
    """
    prefix = f"{{{namespace}}}"
    tags = [prefix + name for name in chain]
    names = _LocalNames(prefix)
    open_elements: list[_OpenElement] = []
    source = _EventSource(document, ("start", "end"), tags)
    for event, element in source:
        level = len(open_elements)
        if event == "start":
            if level < len(tags) and element.tag == tags[level] and _is_child(element, open_elements):
                if open_elements:
                    open_elements[-1].release_before(element)
                inner_tag = tags[level + 1] if level + 1 < len(tags) else None
                open_elements.append(_OpenElement(element, names, inner_tag))
                source.released()
        elif open_elements and element is open_elements[-1].element:
            closed = open_elements.pop()
            closed.release_all()
            source.released()
            yield ClosedElement(level - 1, closed.children, tuple(outer.children for outer in open_elements))


def _is_child(element: etree._Element, open_elements: list["_OpenElement"]) -> bool:
    parent = element.getparent()
    if parent is None:
        return False
    return parent is open_elements[-1].element if open_elements else parent.getparent() is None


class _LocalNames(dict[str, str | None]):
    """The local name of a tag of the message's own namespace; None for any other and for one to skip."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def __missing__(self, tag: object) -> str | None:
        if not isinstance(tag, str):
            return None
        name = tag.removeprefix(self._prefix)
        found = None if name == tag or name in _SKIPPED else name
        if len(self) < _NAMES_MAX:
            self[tag] = found
        return found


class _OpenElement:
    """An element of the chain that has started: what has been read of its children so far."""

    __slots__ = ("_inner_tag", "_names", "_node_count", "children", "element")

    def __init__(self, element: etree._Element, names: _LocalNames, inner_tag: str | None) -> None:
        self.element = element
        self.children: Children = {}
        self._names = names
        self._inner_tag = inner_tag
        self._node_count = 0

    def release_before(self, child: etree._Element) -> None:
        """Read the finished children before `child`, and take them out of the parser's tree.

        `child` itself stays: the parser is still at work on the last.
        """
        finished = list(child.itersiblings(preceding=True))
        if finished:
            finished.reverse()
            self._absorb(finished)
            del self.element[: len(finished)]

    def release_all(self) -> None:
        """Read what is left of the children of this element, which has ended, and let its inside go.

        Its inside only: the parser may be in the middle of the text behind it, and would write into memory that
        is gone.
        """
        self._absorb(self.element)
        self.element.text = None
        del self.element[:]

    def _absorb(self, elements: Iterable[etree._Element]) -> None:
        for element in elements:
            if element.tag != self._inner_tag:
                name = self._names[element.tag]
                if name is not None:
                    self.children.setdefault(name, []).append(self._node(element, name, 1))

    def _node(self, element: etree._Element, name: str, depth: int) -> Node:
        self._node_count += 1
        if depth > _DEPTH_MAX or self._node_count > _NODES_MAX:
            raise StatementMalformedError("An element holds more than any statement does.")
        if not len(element):
            return Node(element.text, element.get("Ccy") if name.endswith("Amt") else None, None)
        children: Children = {}
        for child in element:
            child_name = self._names[child.tag]
            if child_name is None:
                continue
            node = self._node(child, child_name, depth + 1)
            if child_name in children:
                children[child_name].append(node)
            else:
                children[child_name] = [node]
        return Node(None, None, children)


class _EventSource:
    """The parser's events in the order of the document, fed chunk by chunk.

    The reader says when it has let a part of the parser's tree go; too much without that is refused.
    """

    def __init__(
        self, document: GuardedXml, events: Sequence[_Event], tags: Sequence[str] | None = None
    ) -> None:
        self._document = document
        self._unreleased_size_bytes = 0
        self._parser = etree.XMLPullParser(
            events=events,
            tag=tags,
            encoding=document.encoding,
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            recover=False,
            # Else a comment inside an amount would cut the amount in two.
            remove_comments=True,
            remove_pis=True,
            collect_ids=False,
        )

    def released(self) -> None:
        """Start counting anew: what the parser had built up is gone."""
        self._unreleased_size_bytes = 0

    def __iter__(self) -> Iterator[tuple[str, etree._Element]]:
        for chunk in self._document.chunks():
            self._unreleased_size_bytes += len(chunk)
            try:
                self._parser.feed(chunk)
            except etree.LxmlError as error:
                raise _not_well_formed(error) from None
            for event, element in self._parser.read_events():
                if isinstance(element, etree._Element):  # noqa: SLF001  (lxml's only name for the class)
                    yield event, element
            if self._unreleased_size_bytes > _UNRELEASED_SIZE_MAX_BYTES:
                raise StatementMalformedError("An element is larger than any statement's.")
        try:
            self._parser.close()
        except etree.LxmlError as error:
            raise _not_well_formed(error) from None


def _not_well_formed(error: etree.LxmlError) -> StatementNotXmlError:
    """Name the place and nothing else: the parser's own words quote the document."""
    line, column = error.position if isinstance(error, etree.XMLSyntaxError) else (0, 0)
    if not line:
        return StatementNotXmlError()
    return StatementNotXmlError(f"Not well-formed at line {line}, column {column}.", line=line, column=column)
