"What a process keeps of its memory"
import threading

import pytest
import torch

resource = pytest.importorskip('resource', reason='Windows does not count pages')

def test_memory_is_kept():
    "A piece of 64 MB comes with new pages the first time alone; the C library by itself fetches it anew each time"
    from salt_identification.training import keep_memory
    if not keep_memory(): pytest.skip('the C library is not asked, or has nothing to ask for')
    assert threading.current_thread() is threading.main_thread()
    def pages():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(2**24)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert min(pages() for _ in range(6)) < 16
