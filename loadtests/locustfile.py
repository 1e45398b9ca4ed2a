"""The load of hand-offs: `locust -f loadtests/locustfile.py --landscape landscape.json`, or `phrasim load`.

Users: `Uploader` uploads and commits, `PushConsumer` and `PullConsumer` are Phraseanet's side against an upload
service, `Notifier` is the upload service's side against a Phraseanet. docs/load.md says how to use them.
"""

from hand_off import listeners
from hand_off.consumers import PullConsumer, PushConsumer
from hand_off.shape import HandOffShape
from hand_off.uploaders import Notifier, Uploader

__all__ = ["HandOffShape", "Notifier", "PullConsumer", "PushConsumer", "Uploader"]

listeners.register()
