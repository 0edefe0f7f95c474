"""What `gpu.py` tells its processes, through the environment."""

import os
from pathlib import Path

REHEARSE = os.environ.get("GPU_REHEARSE") == "1"  # tiny, on a CPU
KEEP = Path(os.environ["GPU_KEEP"]) if "GPU_KEEP" in os.environ else None
REPEATS, SECONDS = (2, 0.01) if REHEARSE else (5, 0.6)  # windows of each rate


def short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
