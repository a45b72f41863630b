"""Walk the site in a browser: `python docs/walk.py docs/_site SHOTS` (selenium; Chromium and its driver).

Each page opens at 390 and 1,440 pixels without an error in the console and without anything wider than the window; the
menu opens at both; the search finds `rle_decode`. Pictures of the windows go to the folder SHOTS, for a person to look at.
"""
import functools, http.server, shutil, sys, tempfile, threading
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--force-device-scale-factor=1']

class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

def serve(folder):
    "Serve a folder on a free port; its address"
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_address[1]}'

def browser(profile):
    o = webdriver.ChromeOptions()
    for f in [*FLAGS, f'--user-data-dir={profile}']: o.add_argument(f)
    o.set_capability('goog:loggingPrefs', dict(browser='ALL'))
    driver = shutil.which('chromedriver')
    return webdriver.Chrome(options=o, service=webdriver.ChromeService(driver) if driver else None)

def width(b, pixels, height=900):
    b.execute_cdp_cmd('Emulation.setDeviceMetricsOverride',
        dict(width=pixels, height=height, deviceScaleFactor=1, mobile=pixels < 600))

def errors(b): return [e['message'] for e in b.get_log('browser') if e['level'] == 'SEVERE']

def too_wide(b): return b.execute_script('return document.documentElement.scrollWidth - window.innerWidth')

def look(b, url, pixels, shot):
    "What is wrong with a page at a width"
    width(b, pixels)
    b.get(url)
    bad = [f'{url} at {pixels}: {e}' for e in errors(b)]
    if too_wide(b) > 1: bad.append(f'{url} at {pixels}: {too_wide(b)} pixels wider than the window')
    b.save_screenshot(str(shot))
    return bad

def menu(b, url, pixels, shot):
    "The list of pages can be opened and seen"
    width(b, pixels); b.get(url)
    if pixels < 960:
        b.find_element(By.CSS_SELECTOR, 'button.primary-toggle, label[for="pst-primary-sidebar-checkbox"]').click()
        WebDriverWait(b, 5).until(lambda b: any(e.is_displayed()
            for e in b.find_elements(By.CSS_SELECTOR, '.bd-sidebar-primary a, dialog a')))
    seen = [e for e in b.find_elements(By.CSS_SELECTOR, '.bd-sidebar-primary a, dialog a') if e.is_displayed()]
    b.save_screenshot(str(shot))
    return [] if len(seen) > 5 else [f'{url} at {pixels}: the menu shows {len(seen)} links']

def search(b, address, word, shot):
    width(b, 1440); b.get(f'{address}/search.html?q={word}')
    found = WebDriverWait(b, 20).until(lambda b: b.find_elements(By.CSS_SELECTOR, '#search-results li a'))
    b.save_screenshot(str(shot))
    return [] if any(word in e.text or word in (e.get_attribute('href') or '')
        for e in found) else [f'the search does not find {word}']

def walk(site, shots):
    site, shots = Path(site), Path(shots)
    shots.mkdir(parents=True, exist_ok=True)
    address, bad = serve(site), []
    pages = sorted(p.relative_to(site).as_posix() for p in site.rglob('*.html') if '_static' not in p.parts
        and '_modules' not in p.parts)
    with tempfile.TemporaryDirectory() as d:
        b = browser(d)
        try:
            for p in pages:
                for pixels in (390, 1440):
                    bad += look(b, f'{address}/{p}', pixels, shots/f'{p.replace("/", "_")[:-5]}_{pixels}.png')
            for pixels in (390, 1440): bad += menu(b, f'{address}/nbs/00_rle.html', pixels, shots/f'menu_{pixels}.png')
            b.execute_cdp_cmd('Emulation.setEmulatedMedia',
                dict(features=[dict(name='prefers-color-scheme', value='dark')]))
            for pixels in (390, 1440): bad += look(b, f'{address}/nbs/00_rle.html', pixels, shots/f'dark_{pixels}.png')
            bad += search(b, address, 'rle_decode', shots/'search.png')
        finally: b.quit()
    print(f'{len(pages)} pages, {len(bad)} faults', *bad, sep='\n')
    return int(bool(bad))

if __name__ == '__main__': sys.exit(walk(*sys.argv[1:]))
