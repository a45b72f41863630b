"What machine a measurement was made on, and with which versions."
import os, platform, sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FLAGS = 'avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'
PACKAGES = ('salt_identification', 'torch', 'torchvision', 'fastai', 'segmentation-models-pytorch', 'timm',
    'ttach', 'pycocotools', 'onnx', 'onnxruntime', 'openvino', 'numpy')

def _lines(path):
    try: return Path(path).read_text().splitlines()
    except OSError: return []

def flags():
    "Which of `FLAGS` the processor has"
    has = next((l.split() for l in _lines('/proc/cpuinfo') if l.startswith('flags')), [])
    return [f for f in FLAGS if f in has]

def name():
    "The processor's name, with the flags that matter for bf16"
    cpu = next((l.split(':')[1].strip() for l in _lines('/proc/cpuinfo') if l.startswith('model name')),
        platform.processor())
    return cpu + ''.join(f' {f}' for f in flags() if 'bf16' in f)

def memory_gib():
    kb = next((int(l.split()[1]) for l in _lines('/proc/meminfo') if l.startswith('MemTotal')), 0)
    return round(kb/2**20, 1)

def cores():
    "Cores that this process may use"
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1

def peak_mib():
    "Largest memory of this process so far, MiB. `ru_maxrss` of a child begins at the peak of its parent, so only where there is no /proc"
    kb = next((int(l.split()[1]) for l in _lines('/proc/self/status') if l.startswith('VmHWM')), None)
    if kb is not None: return kb/1024
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/(2**20 if sys.platform == 'darwin' else 1024)

def machine():
    "As a dict, for a JSON file"
    return dict(cpu=name(), cores=cores(), flags=flags(), memory_gib=memory_gib(), system=platform.system(),
        python=platform.python_version())

def versions():
    "Versions of what is installed of `PACKAGES`"
    found = {}
    for p in PACKAGES:
        try: found[p] = version(p)
        except PackageNotFoundError: pass
    return found
