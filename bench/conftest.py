def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes gigabytes and minutes; leave out with -m 'not slow'")
