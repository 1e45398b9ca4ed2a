"""Load runs: what they hand over and expect, and how they are judged. Nothing here knows Locust, or asyncio."""
