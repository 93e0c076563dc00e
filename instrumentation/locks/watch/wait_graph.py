"""The graph of what waits for what, and the search for cycles in it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator

from .waits import Wait


class WaitGraph:
    """Waits, locks and holders as nodes: a wait points to its lock, a lock to its holders, a holder to its own waits.

    A cycle is a deadlock. A wait with a time limit points to nothing, because it ends by itself. A task also points to
    the waits of the thread that runs it, because it stands still meanwhile.

    The search visits each node a few times, so its work grows in proportion to the waits.

    Args:
        waits: the waits to look at.
        earlier: keep only the edges that were in this earlier graph too.
    """

    def __init__(self, waits: Iterable[Wait], earlier: WaitGraph | None = None) -> None:
        self.waits = {id(wait): wait for wait in waits}
        """The waits by `id`, which is their node."""
        self._next: dict[Hashable, set[Hashable]] = {}
        by_waiter: dict[object, list[Hashable]] = {}
        for node, wait in self.waits.items():
            by_waiter.setdefault(wait.waiter.key, []).append(node)
        for node, wait in self.waits.items():
            if wait.timed:
                continue
            lock = ("lock", id(wait.lock), wait.meter.mode)
            self._next[node] = {lock}
            if lock in self._next:
                continue
            holders = self._next[lock] = set()
            for blocker in wait.lock.blockers(wait.meter.mode):
                holder = ("holder", blocker.key, blocker.thread)
                holders.add(holder)
                if holder not in self._next:
                    keys = {blocker.key, blocker.thread} if blocker.task is not None else {blocker.key}
                    self._next[holder] = {later for key in keys for later in by_waiter.get(key, ())}
        if earlier is not None:
            for before, following in self._next.items():
                following.intersection_update(earlier.following(before))

    def following(self, node: Hashable) -> Collection[Hashable]:
        """Return the nodes that this node points to."""
        return self._next.get(node, ())

    def cyclic_groups(self) -> list[set[int]]:
        """Return the groups of waits that wait for each other.

        These are the strongly connected components of more than one node, found by Kosaraju's algorithm.
        """
        before: dict[Hashable, list[Hashable]] = {}
        for node, following in self._next.items():
            for other in following:
                before.setdefault(other, []).append(node)
        found, left = [], set(order := self._postorder())
        for start in reversed(order):
            if start not in left:
                continue
            left.remove(start)
            component = [start]
            for node in component:
                new = left.intersection(before.get(node, ()))
                left -= new
                component.extend(new)
            if len(component) > 1:
                found.append({node for node in component if isinstance(node, int)})
        return found

    def _postorder(self) -> list[Hashable]:
        """Return all nodes, each after the nodes that a depth-first walk reaches from it."""
        seen: set[Hashable] = set()
        done: list[Hashable] = []
        for start in self.waits:
            if start in seen:
                continue
            seen.add(start)
            path: list[tuple[Hashable, Iterator[Hashable]]] = [(start, iter(self.following(start)))]
            while path:
                node, rest = path[-1]
                following = next((other for other in rest if other not in seen), None)
                if following is None:
                    done.append(node)
                    path.pop()
                else:
                    seen.add(following)
                    path.append((following, iter(self.following(following))))
        return done

    def shortest_cycle(self, start: int) -> list[Wait]:
        """Return the waits on the shortest path from a wait back to itself."""
        came: dict[Hashable, Hashable] = {}
        queue: list[Hashable] = [start]
        for node in queue:
            for following in self.following(node):
                if following == start:
                    path = [node]
                    while path[-1] != start:
                        path.append(came[path[-1]])
                    return [self.waits[item] for item in reversed(path) if isinstance(item, int)]
                if following not in came:
                    came[following] = node
                    queue.append(following)
        return []
