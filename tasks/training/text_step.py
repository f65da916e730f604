"""Turn columns of free text into numbers: the step of a pipeline for `columns.text`.

Words are hashed, so the model holds no word of its training data, and weighted by TF-IDF. Linear models take them as
they are. For others, truncated singular value decomposition reduces them (latent semantic analysis, Deerwester et al.
1990). All parts are scikit-learn's own without functions, so skops loads them from the list of trusted types.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

WORD = r"(?<![&\w])[^\W_]{2,}(?![^<>]{0,300}>)"
"""A word of two or more letters or digits, outside of HTML's tags and names of characters; no word is looked at for
longer than 300 characters, so a request can't make it slow."""

HASHES = 2**13
COMPONENTS = 64
"""Numbers that a text becomes where words can't stay apart."""


def with_texts(
    columns: "ColumnTransformer", texts: Sequence[str], seed: int, *, sparse: bool = False
) -> "ColumnTransformer":
    """Add the columns of free text after all others, each as numbers of its own.

    Args:
        columns: The unfitted transformer of the other columns.
        texts: The columns of free text.
        seed: The seed of the decomposition.
        sparse: Whether the estimator takes the words as they are, in a sparse matrix.
    """
    if texts:
        added = [(f"text_{place}", text_step(None if sparse else seed), [name]) for place, name in enumerate(texts)]
        columns.set_params(transformers=[*columns.transformers, *added], verbose_feature_names_out=True)
    return columns


def text_step(seed: int | None) -> "Pipeline":
    """Return the unfitted step for one column of free text; an empty text and a missing one are the same.

    Args:
        seed: The seed of the decomposition; None for the weights of the words themselves, as a sparse matrix.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    words = HashingVectorizer(token_pattern=WORD, n_features=HASHES, alternate_sign=False, norm=None)
    steps = [
        SimpleImputer(strategy="constant", fill_value="", keep_empty_features=True),
        ColumnTransformer([("words", words, 0)]),  # which takes the only column out of the table of one column
        TfidfTransformer(sublinear_tf=True),
    ]
    return make_pipeline(*steps, *([] if seed is None else [TruncatedSVD(COMPONENTS, random_state=seed)]))
