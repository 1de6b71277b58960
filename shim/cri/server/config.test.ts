import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DEFAULT_TEXT, loadConfig, metricsAddress, parseServerConfig, socketPath } from './config.js';

const parse = (text: string): ReturnType<typeof parseServerConfig> => parseServerConfig(text, 'x.toml');

t.test('an empty file is what the default one says', async (t) => {
	t.same(parse(DEFAULT_TEXT), parse(''));
	// What is commented out there makes sense, too.
	const full = parse(DEFAULT_TEXT.replace(/^# (\[|\w+ = )/gm, '$1').replace(/ca_file.*/, ''));
	t.match(full, {
		metrics: { host: '127.0.0.1', port: 9750 },
		tracing: { endpoint: 'http://127.0.0.1:4318' },
		streaming: { tls: { key: '/etc/isopod/streaming.key' } },
	});
	t.match(full.images.registries['docker.io'], { mirrors: ['https://mirror.example.org'], credentials: { username: 'reader' } });
});

t.test('each value is read', async (t) => {
	const folder = t.testdir({ 'ca.pem': 'PEM' });
	const file = join(folder, 'config.toml');
	writeFileSync(
		file,
		`listen = "/run/a.sock"
root = "/a"
state = "/b"
log_level = "warn"
runtime.handlers = ["isopod-vm"]
runtime.allowed_annotations = ["dev.isopod.bounds.*"]
runtime.allow_privileged = true
[shim]
cgroup = "/shims"
[network]
config_folder = "/c"
plugin_folders = ["/d"]
[streaming]
host = "::1"
port = 1234
[metrics]
listen = "unix:///run/m.sock"
[tracing]
endpoint = "http://c:4318"
sampling_per_million = 5
[images]
pinned = ["localhost/a:1"]
parallel_layers = 5
[images.registries."localhost:5000"]
url = "http://localhost:5000"
ca_file = "${folder}/ca.pem"
`,
	);
	t.same(loadConfig(file), {
		...{ listen: '/run/a.sock', root: '/a', state: '/b', logLevel: 'warn', handlers: ['isopod-vm'], defaultHandler: 'isopod-vm' },
		...{ allowedAnnotations: ['dev.isopod.bounds.*'], allowPrivileged: true },
		shimCgroup: '/shims',
		network: { configFolder: '/c', pluginFolders: ['/d'] },
		streaming: { host: '::1', port: 1234, tls: null },
		metrics: { path: '/run/m.sock' },
		tracing: { endpoint: 'http://c:4318', samplingPerMillion: 5 },
		images: { pinned: ['localhost/a:1'], parallelLayers: 5, registries: { 'localhost:5000': { url: 'http://localhost:5000', ca: 'PEM' } } },
	});
	t.throws(() => loadConfig(join(folder, 'none.toml')), { code: 'ENOENT' });
});

const WRONG: readonly (readonly [string, string])[] = [
	['a = ', 'x.toml:1: '],
	['\n\nnothing = 1', 'x.toml:3: nothing: is not a field that this version knows'],
	['listen = "tcp://x"', 'x.toml:1: listen: "tcp://x" is no address of a unix socket: want unix:///PATH'],
	['root = "var"', 'x.toml:1: root: "var" is no absolute path'],
	['log_level = "loud"', 'x.toml:1: log_level: "loud" is none of debug, info, warn, error'],
	['[runtime]\nhandlers = ["runc"]', 'x.toml:2: runtime.handlers: no handler is called "runc": want isopod or isopod-vm'],
	['[runtime]\n# x\ndefault_handler = "runc"', 'x.toml:3: runtime.default_handler: "runc" is none of isopod, isopod-vm'],
	['[runtime]\nallowed_annotations = ["a.b"]', 'x.toml:2: runtime.allowed_annotations: "a.b" does not begin with dev.isopod.'],
	['[network]\nplugin_folders = [\n"/a",\n3]', 'x.toml:2: network.plugin_folders: want an array of strings without NUL'],
	['[streaming]\nport = 70000', 'x.toml:2: streaming.port: want an integer from 0 to 65535'],
	['[streaming]\ntls_key = "/a"', 'x.toml:2: streaming.tls_key: want tls_key and tls_cert, or neither'],
	['[metrics]\nlisten = "nowhere"', 'x.toml:2: metrics.listen: "nowhere" is no address: want HOST:PORT or unix:///PATH'],
	['[tracing]\nendpoint = "c:4318"', 'x.toml:2: tracing.endpoint: "c:4318" is no URL of a collector: want http://HOST:PORT'],
	['[images]\nparallel_layers = 0', 'x.toml:2: images.parallel_layers: want one at least'],
	[
		'[images.registries."docker.io"]\nmirrors = ["mirror"]',
		'x.toml:2: images.registries.docker.io.mirrors: "mirror" is no URL of a registry: want https://HOST[:PORT][/PATH]',
	],
	['[images.registries.a]\nca_file = "/none/ca"', 'x.toml:2: images.registries.a.ca_file: ENOENT'],
	['[images.registries.a]\nusername = "u"', 'x.toml:2: images.registries.a.username: want both or neither'],
	['[images.registries.a]\n\nuser = "u"', 'x.toml:3: images.registries.a.user: is not a field that this version knows'],
	['network = 3', 'x.toml:1: network: want an object'],
];

for (const [text, message] of WRONG)
	t.test(`refused: ${JSON.stringify(text)}`, async (t) => {
		try {
			parse(text);
			t.fail('it is accepted');
		} catch (error) {
			t.equal((error as Error).message.slice(0, message.length), message);
		}
	});

t.test('addresses', async (t) => {
	t.equal(socketPath('unix:/run/x'), '/run/x');
	t.throws(() => socketPath(`/${'x'.repeat(107)}`), /longer/);
	t.same(metricsAddress('[::1]:80'), { host: '::1', port: 80 });
	t.same(metricsAddress(':80'), { host: '0.0.0.0', port: 80 });
	t.throws(() => metricsAddress('a:99999'));
});
