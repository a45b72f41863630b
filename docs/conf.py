"Sphinx's settings; bridge.py puts them beside the pages that it writes."
import configparser
from pathlib import Path

ini = configparser.ConfigParser(delimiters=['='])
ini.read(Path(__file__).with_name('settings.ini'), encoding='utf-8')
project, release = ini['DEFAULT']['lib_name'], ini['DEFAULT']['version']
author = ini['DEFAULT']['author']
extensions = ['myst_nb', 'sphinx.ext.viewcode']
viewcode_follow_imported_members = False # it asks values for their module, which constants and properties do not know
nb_execution_mode = 'off'
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = 'Its code', 'Its code'
myst_enable_extensions = ['dollarmath', 'colon_fence']
myst_heading_anchors = 4
add_module_names = False
toc_object_entries_show_parents = 'hide'
nitpicky = True
exclude_patterns = ['extra', '_site', 'Thumbs.db']
html_theme = 'pydata_sphinx_theme'
html_title = project
html_static_path = ['static']
html_css_files = ['salt.css']
html_extra_path = ['extra']
html_theme_options = dict(show_toc_level=2, navigation_with_keys=False, header_links_before_dropdown=5,
    secondary_sidebar_items=['page-toc'],
    logo=dict(text=project), footer_start=['copyright'], footer_end=[],
    pygments_light_style='a11y-high-contrast-light', pygments_dark_style='a11y-high-contrast-dark')
html_sidebars = {'**': ['sidebar-nav-bs']}
html_show_sourcelink = False
html_favicon = 'static/favicon.svg'
html_context = dict(default_mode='auto')
html_math_renderer = 'mathml'
copyright = author

def _mathml(display):
    "Formulas as MathML, which browsers draw themselves: nothing is fetched"
    def visit(translator, node):
        from docutils import nodes
        from latex2mathml.converter import convert
        translator.body.append(convert(node.astext(), display=display))
        raise nodes.SkipNode
    return visit, None

def _find_source(app, module):
    "A module's text and where each name is in it: viewcode alone knows neither patched methods nor constants"
    import ast
    from sphinx.pycode import ModuleAnalyzer
    analyzer = ModuleAnalyzer.for_module(module)
    places = dict(analyzer.find_tags())
    for node in ast.parse(analyzer.code).body:
        lines = node.lineno, node.end_lineno
        if any(ast.unparse(d).startswith('patch') for d in getattr(node, 'decorator_list', [])):
            cls = node.args.args[0].annotation
            for c in getattr(cls, 'elts', [cls]): places[f'{ast.unparse(c)}.{node.name}'] = 'def', *lines
        for t in getattr(node, 'targets', [node.target] if isinstance(node, ast.AnnAssign) else []):
            for n in getattr(t, 'elts', [t]):
                if isinstance(n, ast.Name): places[n.id] = 'other', *lines
    return analyzer.code, places

def _front_page(app, page, template, context, doctree):
    "The front page is called by the project's name alone, and says what it is to those who list it"
    if page != 'index': return
    context['docstitle'] = ''
    context['metatags'] = context.get('metatags', '') + f'<meta name="description" content="{ini["DEFAULT"]["description"]}">'

def setup(app):
    app.add_html_math_renderer('mathml', inline_renderers=_mathml('inline'), block_renderers=_mathml('block'))
    app.connect('viewcode-find-source', _find_source)
    app.connect('html-page-context', _front_page)
