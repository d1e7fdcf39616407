"""Optuna on git: `optuna.create_study(storage=gitexp.optuna.storage())`. Needs Optuna."""

from gitexp.api.optuna_storage import GitJournal, storage

__all__ = ["GitJournal", "storage"]
