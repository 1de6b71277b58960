/** struct epoll_event of amd64: packed, so that the 64 bits of data lie at an odd multiple of four (epoll_wait(2)). */

export const EPOLL_EVENT_BYTES = 12;
export const EPOLL_EVENT_EVENTS = 0;
export const EPOLL_EVENT_DATA_LOW = 4;
export const EPOLL_EVENT_DATA_HIGH = 8;
/** Most events that epoll_wait(2) may be asked for (fs/eventpoll.c, EP_MAX_EVENTS). */
export const EPOLL_MAX_EVENTS = Math.floor(0x7fffffff / EPOLL_EVENT_BYTES);
