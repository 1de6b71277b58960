import { existsSync } from 'node:fs';
import { runtimeoptions } from '../../proto/generated/runtime-options.js';
import { checkAnnotations } from '../annotations.js';
import { DEFAULT_FILE, loadConfig, parseServerConfig, type ServerConfig } from '../cri/server/config.js';
import { Code, RpcError } from './ttrpc/status.js';

/** What of the node's configuration counts for containerd's pods; the rest of the file is for `isopod serve`. */
export type OperatorConfig = Pick<ServerConfig, 'allowedAnnotations' | 'allowPrivileged' | 'shimCgroup'>;

/** The type of the options that containerd has for a runtime other than runc's. */
const OPTIONS_TYPE = 'runtimeoptions.v1.Options';

/** A message of some type, as containerd passes a runtime's options on. */
export interface AnyMessage {
	readonly type_url?: string | null;
	readonly value?: Uint8Array | null;
}

/**
 * The configuration that a runtime's options in containerd's configuration name (`ConfigPath`, or `ConfigBody` in place of a file); without them the usual file's, if
 * there is one. Throws RpcError: a pod that an operator's rules can't be known for isn't made.
 */
export function operatorConfig(options: AnyMessage | null | undefined): OperatorConfig {
	const { configPath, configBody } = decodeOptions(options);
	try {
		if (configPath !== '') return loadConfig(configPath);
		if (configBody.length > 0) return parseServerConfig(Buffer.from(configBody).toString('utf8'), "the runtime's ConfigBody");
		return existsSync(DEFAULT_FILE) ? loadConfig(DEFAULT_FILE) : parseServerConfig('', DEFAULT_FILE);
	} catch (error) {
		throw new RpcError(Code.FailedPrecondition, error instanceof Error ? error.message : String(error), { cause: error });
	}
}

function decodeOptions(options: AnyMessage | null | undefined): { readonly configPath: string; readonly configBody: Uint8Array } {
	const nothing = { configPath: '', configBody: new Uint8Array() };
	const type = options?.type_url ?? '';
	if (type === '') return nothing;
	// Clients other than the CRI plugin (Docker) give runc's to any runtime: nothing of them is for this one.
	if (type.slice(type.lastIndexOf('/') + 1) !== OPTIONS_TYPE) return nothing;
	try {
		return runtimeoptions.v1.Options.decode(options?.value ?? new Uint8Array());
	} catch (error) {
		throw new RpcError(Code.InvalidArgument, `the options of the runtime are no ${OPTIONS_TYPE}`, { cause: error });
	}
}

interface SomeMount {
	readonly type?: string;
	readonly options?: readonly string[];
}

/** The parts of config.json that are looked at before it is checked whole; anything may be missing or of another type. */
interface Given {
	readonly annotations?: Record<string, string>;
	readonly process?: { readonly capabilities?: { readonly bounding?: readonly string[] } };
	readonly mounts?: readonly SomeMount[];
	readonly linux?: { readonly devices?: unknown };
}

/**
 * What an operator lets a container have of what its config.json asks for. Throws RpcError for what is not allowed. A privileged container that is allowed has all
 * rights in its sandbox, and none of the host's devices.
 */
export function admit(given: unknown, operator: OperatorConfig): unknown {
	if (typeof given !== 'object' || given === null) return given;
	const config = given as Given;
	try {
		checkAnnotations(Object.keys(config.annotations ?? {}), operator.allowedAnnotations);
	} catch (error) {
		throw RpcError.from(error, Code.InvalidArgument);
	}
	if (!isPrivileged(config)) return given;
	if (!operator.allowPrivileged)
		throw new RpcError(Code.InvalidArgument, 'a privileged container is not allowed on this node (runtime.allow_privileged)');
	return { ...config, linux: { ...config.linux, devices: [] } };
}

/** No flag says so: what a privileged container has, and no other, is the host's capabilities together with a /sys that can be written. */
function isPrivileged({ process, mounts }: Given): boolean {
	if (process?.capabilities?.bounding?.includes?.('CAP_SYS_ADMIN') !== true || !Array.isArray(mounts)) return false;
	return mounts.some((mount: SomeMount | null) => mount?.type === 'sysfs' && mount.options?.includes?.('ro') !== true);
}
