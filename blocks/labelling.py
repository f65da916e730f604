"""How people label rows by hand."""

from pydantic import Field

from everfit.blocks.policy import Policy


class LabelQueuePolicy(Policy):
    """How people label rows by hand."""

    people: int = Field(
        default=1,
        ge=1,
        le=9,
        description="The number of people who must give a row the same label before it counts. With 2 or more, each "
        "person hands in an own file, and rows on which they differ are shown.",
    )
    prelabels: bool = Field(
        default=False,
        description="Whether the file shows the model's answer and how sure it is. That is quicker to label by, but "
        "people tend to agree with an answer that they see. Rows that were picked at random, for an estimate or to "
        "check a label never show it.",
    )
