"Shared by all tests: a small survey, and a small run on it"
import shutil, signal, warnings
import pytest

warnings.filterwarnings('ignore', category=FutureWarning)
signal.signal(signal.SIGINT, signal.default_int_handler) # a shell's background job ignores Ctrl-C, and so would the commands that are interrupted here
TRAIN = ['--epochs', '1', '--bs', '8', '--net', 'slim8', '--device', 'cpu', '--precision', 'float32', '--quiet']

@pytest.fixture(scope='session')
def small(tmp_path_factory):
    "A synthetic survey of 48-pixel tiles"
    from salt_identification.synth import synth_survey
    return synth_survey(tmp_path_factory.mktemp('small')/'survey', n=32, n_test=8, seed=1, size=48).path

@pytest.fixture(scope='session')
def trained(small, tmp_path_factory):
    "A run on it"
    from salt_identification.cli import main
    run = tmp_path_factory.mktemp('trained')/'run'
    assert main(['train', str(small), '--out', str(run), *TRAIN]) == 0
    return run

@pytest.fixture
def survey(small, tmp_path):
    "A copy of the survey, to be spoilt"
    return shutil.copytree(small, tmp_path/'survey')

@pytest.fixture
def run(trained, tmp_path):
    "A copy of the run, to be spoilt"
    return shutil.copytree(trained, tmp_path/'run')

@pytest.fixture
def saltid(capsys):
    "Run a command: (exit code, stdout, stderr)"
    from salt_identification.cli import main
    def go(*args):
        capsys.readouterr()
        code = main([str(a) for a in args])
        out = capsys.readouterr()
        return code, out.out, out.err
    return go
