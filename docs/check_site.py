"""Look at the built site from outside: `python docs/check_site.py docs/_site`.

Every internal link and anchor leads somewhere, every picture is there and has a text, in a notebook one of its own,
nothing is fetched from elsewhere, and every public name has its entry, with a link to its source.
"""
import json, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
import bridge

class Page(HTMLParser):
    "Ids, links, pictures, files fetched, and entries of a page, with whether they lead to their source"
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.pictures, self.fetched, self.entries, self.entry = set(), [], [], [], {}, None
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if a.get('id'): self.ids.add(a['id'])
        if tag == 'dt' and 'py' in (a.get('class') or '').split(): self.entry = a.get('id'); self.entries[self.entry] = False
        if tag == 'a' and self.entry and '_modules/' in (a.get('href') or ''): self.entries[self.entry] = True
        if tag == 'a' and a.get('name'): self.ids.add(a['name'])
        if tag == 'a' and a.get('href'): self.links.append(a['href'])
        if tag == 'img': self.pictures.append((a.get('src', ''), a.get('alt')))
        if tag == 'script' and a.get('src'): self.fetched.append(a['src'])
        if tag == 'link' and a.get('rel') in ('stylesheet', 'icon', 'preload') and a.get('href'):
            self.fetched.append(a['href'])

    def handle_endtag(self, tag):
        if tag == 'dt': self.entry = None

def faults(site):
    "What is wrong, one line each"
    site = Path(site).resolve()
    pages = {p: Page(p) for p in site.rglob('*.html') if '_static' not in p.parts}
    where = lambda p: p.relative_to(site).as_posix()
    def target(p, url):
        u = urlsplit(url)
        path = (p.parent/unquote(u.path)).resolve() if u.path else p
        return path/'index.html' if path.is_dir() else path, unquote(u.fragment)
    for p, page in pages.items():
        for url in page.links:
            if urlsplit(url).scheme: continue
            path, anchor = target(p, url)
            if not path.exists(): yield f'{where(p)}: {url} leads nowhere'
            elif anchor and path in pages and anchor not in pages[path].ids:
                yield f'{where(p)}: {url} has no such anchor'
        for src, alt in page.pictures:
            if not (alt or '').strip(): yield f'{where(p)}: picture {src[:60]} has no text'
            if src.startswith(('http:', 'https:', '//')): yield f'{where(p)}: picture {src} is fetched from elsewhere'
            elif not src.startswith('data:') and not target(p, src)[0].exists():
                yield f'{where(p)}: picture {src} is missing'
        for name, sourced in page.entries.items():
            if not sourced: yield f'{where(p)}: {name} has no link to its source'
        for url in page.fetched:
            if urlsplit(url).netloc: yield f'{where(p)}: {url} is fetched from elsewhere'
            elif not target(p, url)[0].exists(): yield f'{where(p)}: {url} is missing'
    for p in [bridge.ROOT/bridge.FRONT, *bridge.library(), *bridge.tutorials()]:
        for i in bridge.untold(bridge.read(p)): yield f'{p.name}: the picture of cell {i} has no `#| fig-alt`'
    ids = {i for page in pages.values() for i in page.ids}
    names = json.loads((site/'public_names.json').read_text(encoding='utf-8'))
    for name, module in names.items():
        if f'{module}.{name}' not in ids: yield f'{module}.{name} has no entry'
    if len(names) < 100: yield f'only {len(names)} public names are known'

if __name__ == '__main__':
    found = list(faults(sys.argv[1]))
    print(f'{len(found)} faults', *found, sep='\n')
    sys.exit(int(bool(found)))
