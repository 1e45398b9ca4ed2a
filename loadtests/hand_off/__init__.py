"""What the Locust file is made of. It runs under gevent: nothing here may import asyncio."""
