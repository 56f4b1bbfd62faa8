"""The compiled hot path of asks_fast: the code that runs per byte or per request.

One extension of one file per concern, combined by `include`, so that the C compiler can inline calls
between them and one import loads them all.

Compiled code sees bytes, descriptors and counters, never options, URLs or policy. It resolves no
names, opens no sockets and does not decide about redirects.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetInterrupt
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from cpython.weakref cimport PyWeakref_NewRef
from libc.errno cimport EAGAIN, EINTR, ENOBUFS, ENOMEM, errno
from libc.math cimport INFINITY
from libc.string cimport memchr, memcmp, memcpy, memmove
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import os
import re
import time
from collections.abc import Mapping
from functools import partial
from logging import DEBUG, Logger, LogRecord, getLogger, getLogRecordFactory
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import socket as Socket
from threading import current_thread
from weakref import WeakSet

from curio.errors import TaskTimeout
from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser
from multidict import getversion

from asks_fast import _guest, errors
from asks_fast._config import interceptor
from asks_fast._curio import kernel_locals
from asks_fast._deadlines import ignore_after, timeout_after
from asks_fast._tracebacks import shorten

__tracebackhide__ = True  # pytest leaves out frames of this module

include "system.pyx"
include "traps.pyx"
include "headers.pyx"
include "request_head.pyx"
include "response.pyx"
include "head_scanner.pyx"
include "message_parser.pyx"
include "chunked.pyx"
include "chunked_body.pyx"
include "response_parser.pyx"
include "linked_list.pyx"
include "connection.pyx"
include "connection_errors.pyx"
include "body_buffer.pyx"
include "events.pyx"
include "exchange.pyx"
include "followup.pyx"
include "stream_body.pyx"
include "wait_queue.pyx"
include "origin_pool.pyx"
include "deadlines.pyx"
include "pool.pyx"
include "open_connection.pyx"
include "request_sender.pyx"
include "run_exchange.pyx"
include "cookies.pyx"
include "encoded_pairs.pyx"
include "request_template.pyx"
include "template_cache.pyx"
