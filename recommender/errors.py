"""Errors: the exceptions of the library, as a tree.

::

    RecommenderError
    ├── NotFittedError             the model has learned nothing yet
    ├── InvalidDataError           a data set is malformed; names file, line and column
    ├── InvalidRequestError        a request asks for something that cannot be
    ├── ConflictingSettingsError   a change of settings does not go with what there is
    ├── UnknownUserError           nothing is known of a user, and no baseline was asked for
    ├── MissingFeaturesError       features are needed because indicators are off
    ├── MissingExtraError          an optional part of the package is not installed
    ├── DownloadError              a data set could not be fetched
    ├── TrainingError              training failed or produced an unusable model
    │   └── StaleTrainingError     somebody else has published since the training began
    ├── ArtifactError
    │   ├── UnknownVersionError    no such version in the registry
    │   ├── StateUnavailableError  the object store with versions and archive does not answer
    │   ├── UntrustedVersionError  a version is not signed with a key that is accepted
    │   └── CorruptArtifactError   a version on disk is not what was written
    │       └── NewerSchemaError   a newer release wrote it; nothing is wrong with it
    └── StoreError
        ├── StoreUnavailableError  the store does not answer, or not in time
        ├── StoreFullError         the store takes no more; try again later
        └── StoreLockedError       another process owns this store's folder

Every one carries exactly one message, so that it survives pickle on its way through Ray.
"""

from __future__ import annotations


class RecommenderError(Exception):
    """Whatever this library raises on purpose."""


class NotFittedError(RecommenderError):
    """The model has learned nothing yet."""


class InvalidDataError(RecommenderError, ValueError):
    """A data set is malformed; the message names file, line and column."""


class InvalidRequestError(RecommenderError, ValueError):
    """A request asks for something that cannot be."""


class ConflictingSettingsError(RecommenderError):
    """A change of a placement or an experiment does not go with those that there are."""


class UnknownUserError(RecommenderError, KeyError):
    """Nothing is known of a user, and no baseline was asked for."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class MissingFeaturesError(RecommenderError, ValueError):
    """Features are needed because indicators are off."""


class MissingExtraError(RecommenderError):
    """An optional part of the package is not installed; the message says how to install it."""


class DownloadError(RecommenderError):
    """A data set could not be fetched."""


class TrainingError(RecommenderError):
    """Training failed or produced an unusable model."""


class StaleTrainingError(TrainingError):
    """Somebody else has published since the training began; its version is refused, so that nothing is undone."""


class ArtifactError(RecommenderError):
    """Something is wrong with a model version on disk."""


class UnknownVersionError(ArtifactError):
    """No such version in the registry."""


class StateUnavailableError(ArtifactError):
    """The object store with versions and archive does not answer; nothing is said against what is in it."""


class UntrustedVersionError(ArtifactError):
    """A version is not signed with a key that is accepted, where signatures are asked for."""


class CorruptArtifactError(ArtifactError):
    """A version on disk is not what was written."""


class NewerSchemaError(CorruptArtifactError):
    """A newer release wrote this version. It is refused, but nothing is wrong with it."""


class StoreError(RecommenderError):
    """Something is wrong with the feature store or the interaction log."""


class StoreUnavailableError(StoreError):
    """The store does not answer, or not in time."""


class StoreFullError(StoreError):
    """The store takes no more; try again later."""


class StoreLockedError(StoreError):
    """Another process owns this store's folder."""


def describe_error(error: BaseException) -> str:
    """An error in words; one that is not ours, and may say next to nothing, with its kind."""
    if isinstance(error, RecommenderError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
