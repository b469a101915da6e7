"""Maximum-inner-product search: exact top-k, quantised to 8 bits, and an inverted file (IVF)."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.vector_search.cosine import cosines
    from recommender.vector_search.exact import Best, Users, best_rows
    from recommender.vector_search.ivf import Index, search_inverted_file
    from recommender.vector_search.quantization import QuantizedBlock
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "Best": "exact",
            "Index": "ivf",
            "QuantizedBlock": "quantization",
            "Users": "exact",
            "best_rows": "exact",
            "cosines": "cosine",
            "search_inverted_file": "ivf",
        },
    )

__all__ = ["Best", "Index", "QuantizedBlock", "Users", "best_rows", "cosines", "search_inverted_file"]
