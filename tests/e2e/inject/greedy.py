"""Takes every inotify instance that the kernel gives this user, and keeps them."""

import ctypes
import resource
import time

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
libc = ctypes.CDLL(None)
while libc.inotify_init1(0) >= 0:
    pass
print("none left", flush=True)
time.sleep(3600)
