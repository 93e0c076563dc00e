"""A decorator that takes keywords only, written without its parentheses."""

from __future__ import annotations


def refuse_bare(probe: str, bare: tuple[object, ...]) -> None:
    """Refuse what a decorator was given in place of its keywords.

    Raises:
        TypeError: it was given something.
    """
    if bare:
        raise TypeError(f"scope.{probe} takes keywords only; as a decorator, write @scope.{probe}()")
