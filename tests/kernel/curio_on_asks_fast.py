"""A pytest plugin for curio's own test suite that replaces curio's kernel by ours.

It is loaded with `-p` before any module of that suite, so `from curio import *` imports ours.
"""

import curio
import curio.kernel

from asks_fast.kernel import Kernel, run

for module in (curio, curio.kernel):
    module.Kernel = Kernel
    module.run = run
