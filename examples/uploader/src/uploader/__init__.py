"""Hands files to an upload service, and fetches what was handed over."""

from uploader.client import AsyncUploader, Uploader, UploadError, UploadRefused
from uploader.puller import Puller, PullError

__all__ = ["AsyncUploader", "PullError", "Puller", "UploadError", "UploadRefused", "Uploader"]
