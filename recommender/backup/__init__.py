"""Back-up of a running service and its restoration: models, archive, store, audit; incremental, verified."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.backup.manifest import BackupManifest, list_backups
    from recommender.backup.restoration import RestoreReport, restore
    from recommender.backup.state_copy import BackupReport, back_up
    from recommender.backup.verification import verify_backup
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "BackupManifest": "manifest",
            "BackupReport": "state_copy",
            "RestoreReport": "restoration",
            "back_up": "state_copy",
            "list_backups": "manifest",
            "restore": "restoration",
            "verify_backup": "verification",
        },
    )

__all__ = [
    "BackupManifest",
    "BackupReport",
    "RestoreReport",
    "back_up",
    "list_backups",
    "restore",
    "verify_backup",
]
