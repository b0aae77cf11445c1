"""Checks of what is known against the stack's packages."""

from __future__ import annotations

from typing import Final

from dsk.advisories.audit import reachable_notes, summary
from dsk.doctor.check import CheckContext, CheckGroup, Verdict

GROUP: Final = CheckGroup(position=55)


@GROUP.check("vulnerabilities", "Vulnerabilities")
def vulnerabilities(context: CheckContext) -> Verdict:
    """Check that no severe vulnerability of the stack's packages can be reached."""
    audit = context.audit
    if audit is None:
        return Verdict(status="skipped", summary="not looked up: the lock or the list is missing")
    command = f"dsk matrix audit {context.stack.id}"
    if not any(finding.severe for finding in audit.reachable):
        names = ", ".join(finding.vulnerability.id for finding in audit.reachable)
        end = f": {names}; see {command}" if names else ""
        return Verdict(status="ok", summary=summary(audit) + end)
    return Verdict(
        status="warning",
        summary=summary(audit),
        details=tuple(reachable_notes(audit)),
        commands=(command,),
    )
