"""Verify a report of a period by itself: its chain, its rows, its signatures and its text."""

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.chain_proof import ProofCheck, check_proof
from everfit.tasks.models.signatures import SignerGroups, link_message, why_not_signed
from everfit.tasks.pages.period import Period, PeriodContent, looks_that_differ, period_of
from everfit.tasks.pages.period_page import period_page, report_content

_NOTHING_VOUCHES = (
    "nothing outside of the file vouches for its chain: name the trusted keys by EVERFIT_SIGNERS, or give a link that "
    "was noted elsewhere by --noted"
)


class ReportCheck(Record):
    """The result of the check of a report.

    Attributes:
        content: The content of the report.
        links: The number of links of its chain.
        rows: The number of rows that were compared with their links.
        unproven: The number of looks whose rows are not in the report.
        vouched: Signatures and noted links that vouch for the chain.
        notes: The parts that could not be verified.
        problems: One sentence for each thing that doesn't fit.
    """

    content: PeriodContent
    links: int
    rows: int
    unproven: int = 0
    vouched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def check_report(page: str, *, signers: SignerGroups, noted: str = "", version: str) -> ReportCheck:
    """Verify that a report's rows are those of its chain, and that its text follows from them.

    Args:
        page: The HTML of the report.
        signers: The owners of trusted keys by the place that names them; empty if none is trusted.
        noted: A link of the chain that somebody noted elsewhere, as `SEQ:HASH`.
        version: The version of everfit that verifies.

    Raises:
        EverfitError: The text is no report.
    """
    content = report_content(page)
    proof = check_proof(content.proof)
    problems, vouched = [*proof.problems, *(f"when it was written: {text}" for text in content.unfit)], []
    if noted and proof.has(noted):
        vouched.append(f"the noted link {noted.partition(':')[0]}")
    elif noted:
        problems.append(f"the noted link {noted} is not in the chain of the report")
    try:
        period = period_of(content)
        problems += looks_that_differ(content)
        problems += _text(page, content, version)
    except EverfitError as error:
        problems.append(str(error))
        return ReportCheck(content=content, links=proof.links, rows=proof.rows, problems=tuple(problems))
    valid, invalid = _signatures(period, proof, signers)
    vouched += valid
    notes = [] if vouched else [_NOTHING_VOUCHES]
    unproven = len(content.looks) - period.proven
    if unproven:
        notes.append(f"the figures of {unproven:,} healthy looks can't be proven: their rows are not in the file")
    return ReportCheck(
        content=content,
        links=proof.links,
        rows=proof.rows,
        unproven=unproven,
        vouched=tuple(vouched),
        notes=tuple(notes),
        problems=(*problems, *invalid),
    )


def _text(page: str, content: PeriodContent, version: str) -> list[str]:
    if period_page(content) == page:
        return []
    if content.everfit == version:
        return ["the text of the report doesn't follow from its rows: the file was changed"]
    return [
        f"the text can't be verified: everfit {content.everfit} wrote it and this is {version}; verify it with that one"
    ]


def _signatures(period: Period, proof: ProofCheck, signers: SignerGroups) -> tuple[list[str], list[str]]:
    """Return the signatures that count, and one sentence for each that does not."""
    valid, invalid = [], []
    for signed in period.signed:
        name = f"the signature of release {signed.release}"
        if not proof.has(signed.link):
            invalid.append(f"{name} is of link {signed.link.partition(':')[0]}, which is not in the chain")
        elif signers and (reason := why_not_signed(signed.signature, link_message(signed.link), signers)):
            invalid.append(f"{name} doesn't count: {reason}")
        elif signers:
            valid.append(name)
    return valid, invalid
