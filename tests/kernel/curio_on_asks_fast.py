"""A pytest plugin for curio's own suite: puts our kernel in the place of curio's.

Loaded with `-p` before any module of that suite, whose `from curio import *` then finds ours.
"""

import curio
import curio.kernel

from asks_fast.kernel import Kernel, run

for module in (curio, curio.kernel):
    module.Kernel = Kernel
    module.run = run
