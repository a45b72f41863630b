"The gallery in a real browser, where there is one"
import shutil, sys, tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'docs'))
selenium = pytest.importorskip('selenium')
if not (shutil.which('chromedriver') and shutil.which('chromium')):
    pytest.skip('no Chromium here', allow_module_level=True)

@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    "A survey and a run"
    from salt_identification.learner import train_run
    from salt_identification.submission import tune_run
    from salt_identification.synth import synth_survey
    folder = tmp_path_factory.mktemp('trained')
    survey = synth_survey(folder/'survey', n=40, n_test=1, seed=6, size=48)
    tune_run(folder/'run', train_run(survey, folder/'run', steps=20, net='slim8', quiet=True))
    return survey, folder/'run'

def test_a_slider_moves_masks_and_a_tile_is_kept(trained, tmp_path):
    import walk
    from selenium.webdriver.support.ui import WebDriverWait
    from salt_identification.explore import write_gallery
    survey, run = trained
    page = write_gallery(run, tmp_path/'gallery.html', survey)
    b = walk.browser(tempfile.mkdtemp())
    try:
        for pixels in (390, 1440):
            walk.width(b, pixels); b.get(page.as_uri())
            WebDriverWait(b, 20).until(lambda b: b.execute_script('return document.body.dataset.ready'))
            assert not walk.errors(b) and walk.too_wide(b) <= 1
        said = lambda: b.execute_script("return document.getElementById('said').textContent")
        set_to = lambda id, v: b.execute_script(f"const e = document.getElementById('{id}'); "
            f"e.value = '{v}'; e.dispatchEvent(new Event('input'))")
        set_to('threshold', 0); set_to('area', 0)
        drawn = b.execute_script("const c = [...document.querySelectorAll('#grid canvas')].map(c => [...c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data]); return c.flat()")
        drawn = set(zip(drawn[::4], drawn[1::4], drawn[2::4]))
        assert {(0, 176, 255), (255, 109, 0)} < drawn # the colours of show_tiles
        set_to('threshold', 1)
        empty = float((survey.train[[survey.ids.index(t) for t in b.execute_script('return D.tiles.map(t => t.id)')]].coverage == 0).mean())
        assert f'score {empty:.3f}' in said()
        doubts = b.execute_script('return D.tiles.map(t => t.doubt)')
        set_to('doubt-from', sorted(doubts)[3])
        kept = sum(d >= sorted(doubts)[3] for d in doubts)
        assert kept < len(doubts) and said().startswith(f'{kept} of {len(doubts)} tiles shown')
        set_to('doubt-to', -1); assert said().startswith('0 of '); set_to('doubt-to', ''); set_to('doubt-from', '')
        off = lambda: b.execute_script("return document.getElementById('download').disabled")
        assert off() and b.title.startswith('Gallery of ')
        b.execute_script("document.querySelector('#grid button').click()")
        for kept in (1, 0, 1): # a note is enough; taken off; put on again
            if kept and off() and b.execute_script('return kept.size') == 0: set_to('note', 'rim')
            else: b.execute_script("document.getElementById('keep').click()")
            assert f'On the list: {kept}' in said() and off() == (not kept)
        assert 'On the list: 1' in said() and b.execute_script('return [...kept.values()][0]') == 'rim'
    finally: b.quit()

def test_a_report_opens_without_a_network(trained):
    import walk
    from salt_identification.report import write_report
    page = write_report(trained[1])
    b = walk.browser(tempfile.mkdtemp())
    try:
        for pixels in (390, 1440):
            walk.width(b, pixels); b.get(page.as_uri())
            assert not walk.errors(b) and walk.too_wide(b) <= 1
            assert b.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt && i.src.startsWith('data:'))")
            assert b.execute_script("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
        assert len(b.find_elements('css selector', 'h2')) > 4
    finally: b.quit()
