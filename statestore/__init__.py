"""Keeps the state of an application in plain files, as safely as a database."""

from typing import TYPE_CHECKING, Any

from statestore.errors import (
    AmbiguousFormat,
    BackupExists,
    BackupNotFound,
    CallbackFailed,
    CommitRefused,
    ConfigurationError,
    Conflict,
    CorruptJournal,
    CorruptRecord,
    CorruptStore,
    DecodeError,
    DuplicateId,
    EncodeError,
    FilesBehind,
    FolderInUse,
    HeldKey,
    HistoryPruned,
    InTransaction,
    InvalidBackup,
    InvalidId,
    InvalidKind,
    InvalidRecord,
    LoadFailed,
    ManagerInUse,
    MisnamedRecord,
    MissingExtra,
    NameTaken,
    NewerLayout,
    NewerSchema,
    NotARecordClass,
    NotSalvaged,
    NotSupported,
    NoVersionKept,
    PartialCommit,
    QuarantinedRecord,
    ReadOnlyStore,
    RecordFileMissing,
    RecordNotFound,
    RecordNotLost,
    SaveFailed,
    StaleRecord,
    StateStoreError,
    StorageError,
    StoreClosed,
    StoreForked,
    StoreInDoubt,
    StoreNotFound,
    StructureError,
    TooDeep,
    TooLarge,
    TransactionFailed,
    UndecodableRecord,
    UnknownFormat,
    UnknownName,
    UnknownTranscript,
    UnsafeFile,
    UnsafeStore,
)

if TYPE_CHECKING:
    from statestore.managers.manager import Manager as Manager
    from statestore.store import Store as Store

__all__ = [
    "AmbiguousFormat",
    "BackupExists",
    "BackupNotFound",
    "CallbackFailed",
    "CommitRefused",
    "ConfigurationError",
    "Conflict",
    "CorruptJournal",
    "CorruptRecord",
    "CorruptStore",
    "DecodeError",
    "DuplicateId",
    "EncodeError",
    "FilesBehind",
    "FolderInUse",
    "HeldKey",
    "HistoryPruned",
    "InTransaction",
    "InvalidBackup",
    "InvalidId",
    "InvalidKind",
    "InvalidRecord",
    "LoadFailed",
    "Manager",
    "ManagerInUse",
    "MisnamedRecord",
    "MissingExtra",
    "NameTaken",
    "NewerLayout",
    "NewerSchema",
    "NoVersionKept",
    "NotARecordClass",
    "NotSalvaged",
    "NotSupported",
    "PartialCommit",
    "QuarantinedRecord",
    "ReadOnlyStore",
    "RecordFileMissing",
    "RecordNotFound",
    "RecordNotLost",
    "SaveFailed",
    "StaleRecord",
    "StateStoreError",
    "StorageError",
    "Store",
    "StoreClosed",
    "StoreForked",
    "StoreInDoubt",
    "StoreNotFound",
    "StructureError",
    "TooDeep",
    "TooLarge",
    "TransactionFailed",
    "UndecodableRecord",
    "UnknownFormat",
    "UnknownName",
    "UnknownTranscript",
    "UnsafeFile",
    "UnsafeStore",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the front door when it is asked for: catching an error needs none of it."""
    if name == "Store":
        from statestore.store import Store

        return Store
    if name == "Manager":
        from statestore.managers.manager import Manager

        return Manager
    raise AttributeError(f"module 'statestore' has no attribute {name!r}")
