"""The torch side. Set before any library reads them: no network, no progress bars, no forks."""

import os

for _name, _value in {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    # Threads that wait for each other in a spin take the cores from one another as soon as anything
    # else runs: on two busy cores a step took ten times as long as with threads that sleep.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "1000",
}.items():
    os.environ.setdefault(_name, _value)
