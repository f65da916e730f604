"""How far one client of the prediction service is trusted: its share of what counts, and its labels."""

from pydantic import Field

from everfit.blocks.policy import Policy


class ClientsPolicy(Policy):
    """How far one client of the prediction service is trusted in monitoring and traffic trials.

    A client whose requests or labels outnumber all others decides what drift and quality look like.
    """

    max_share: float = Field(
        default=1,
        ge=0.1,
        le=1,
        description="The largest share of one client in the predictions and labels that monitoring and traffic "
        "trials count. Rows beyond are drawn by their key and left out, which each look and trial reports. A model "
        "with one client is not limited, nor are batch scoring, label files, the labelling queue and the source. By "
        "default there is no limit.",
    )
    ignored_labels: tuple[str, ...] = Field(
        default=(),
        description="The clients whose recorded labels no longer count, such as one that sent wrong ones. An earlier "
        "label of another client counts again.",
    )
