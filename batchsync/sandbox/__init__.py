"""A simulated Magic Hour API over real sockets.

from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.serve import Sandbox

with Sandbox(SandboxConfig(credits=5000), faults=[Fault.parse("submit:cut_after:chance=0.05")]) as sandbox:
    ...  # point any client at sandbox.api_url, with any key
"""
