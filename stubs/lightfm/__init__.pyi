from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

class LightFM:
    loss: str
    learning_schedule: str
    learning_rate: float
    no_components: int
    max_sampled: int
    k: int
    n: int
    random_state: np.random.RandomState
    item_embeddings: NDArray[np.float32] | None
    item_biases: NDArray[np.float32] | None
    user_embeddings: NDArray[np.float32] | None
    user_biases: NDArray[np.float32] | None
    def __init__(self, **kwargs: Any) -> None: ...
    def get_params(self, deep: bool = ...) -> dict[str, Any]: ...
    def fit_partial(
        self,
        interactions: Any,
        user_features: Any = ...,
        item_features: Any = ...,
        sample_weight: Any = ...,
        epochs: int = ...,
        num_threads: int = ...,
        verbose: bool = ...,
    ) -> Any: ...
    def fit(
        self,
        interactions: Any,
        user_features: Any = ...,
        item_features: Any = ...,
        sample_weight: Any = ...,
        epochs: int = ...,
        num_threads: int = ...,
        verbose: bool = ...,
    ) -> Any: ...
    def predict(
        self,
        user_ids: int | NDArray[np.int32],
        item_ids: NDArray[np.int32],
        item_features: sparse.csr_matrix | None = ...,
        user_features: sparse.csr_matrix | None = ...,
        num_threads: int = ...,
    ) -> NDArray[np.float32]: ...
    def _run_epoch(
        self,
        item_features: sparse.csr_matrix,
        user_features: sparse.csr_matrix,
        interactions: sparse.coo_matrix,
        sample_weight: NDArray[np.float32],
        num_threads: int,
        loss: str,
    ) -> None: ...
    def _initialize(self, no_components: int, no_item_features: int, no_user_features: int) -> None: ...
    def _reset_state(self) -> None: ...
