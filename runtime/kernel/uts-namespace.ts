/** uname(2)'s names, which the containers of a pod share (uts_namespaces(7)). */
export class UtsNamespace {
	constructor(
		/** sethostname(2). */
		public hostname: string,
		/** setdomainname(2). */
		public domainname: string,
	) {}
}
