"""Limits a plan must keep to before it is sent unasked.

Belongs here: the judgement of counts. Does not belong here: counting (``plan``) or refusing (``activation``).
"""

from __future__ import annotations

from connectors.activation.config import Guards


def violations(
    guards: Guards, *, rows: int, creates: int, updates: int, deletes: int, acknowledged: int
) -> tuple[str, ...]:
    """One line for each limit broken: what was found, what was allowed.

    ``rows`` counts everything the model holds, withheld rows too: a model whose rows are all withheld is
    not empty, and its deletes are judged as deletes.
    """
    found: list[str] = []
    changes = creates + updates
    if rows == 0 and not guards.allow_empty:
        found.append("the model is empty (allow_empty is false)")
    if acknowledged == 0:
        limit = guards.max_first_run_count
        if limit is not None and creates > limit:
            found.append(f"the first run would create {creates} rows, max_first_run_count is {limit}")
        return tuple(found)
    if guards.max_delete_count is not None and deletes > guards.max_delete_count:
        found.append(f"{deletes} deletes, max_delete_count is {guards.max_delete_count}")
    if guards.max_change_count is not None and changes > guards.max_change_count:
        found.append(f"{changes} creates and updates, max_change_count is {guards.max_change_count}")
    if acknowledged >= guards.share_from_rows:
        if deletes > guards.max_delete_share * acknowledged:
            found.append(
                f"{deletes} deletes are {deletes / acknowledged:.1%} of {acknowledged} rows, "
                f"max_delete_share is {guards.max_delete_share:.1%}"
            )
        if changes > guards.max_change_share * acknowledged:
            found.append(
                f"{changes} creates and updates are {changes / acknowledged:.1%} of {acknowledged} rows, "
                f"max_change_share is {guards.max_change_share:.1%}"
            )
    return tuple(found)
