// http_node.ts: node:http and node:https with connections kept, the fastest transport that ships with Node.
//
// One exchange costs no closures: request and response carry the exchange along, and the listeners are shared.

import http from 'node:http';
import type https from 'node:https';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';

import { guarded, rawLines, targetsOf } from './http.js';
import { type Direct, failureOf, type Transport } from './transport.js';

const flight = Symbol('flight');

interface Sent extends http.ClientRequest {
  [flight]: Direct;
  hasReply?: boolean;
}

interface Answered extends http.IncomingMessage {
  [flight]: Direct;
}

/** What goes by one protocol. */
interface Door {
  agent: http.Agent;
  request: typeof http.request;
}

interface Target {
  url: string;
  request: typeof http.request;
  options: http.RequestOptions;
  headers: string[];
}

// Node takes a flat list of headers as it is; other runtimes that have node:http may not.
const takesList = typeof (globalThis as { Deno?: object; Bun?: object }).Deno === 'undefined' && !('Bun' in globalThis);

function pairsOf(list: string[]): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (let i = 0; i < list.length; i += 2) pairs[list[i] as string] = list[i + 1] as string;
  return pairs;
}

function onResponse(this: Sent, response: http.IncomingMessage): void {
  const answered = response as Answered;
  this.hasReply = true;
  answered[flight] = this[flight];
  answered.on('data', onData);
  answered.on('end', onEnd);
  answered.on('error', onReplyError);
  this[flight].head(response.statusCode ?? 0, rawLines(response.rawHeaders));
}

function onData(this: Answered, chunk: Buffer): void {
  this[flight].data(chunk);
}

function onEnd(this: Answered): void {
  if (this.complete) this[flight].end();
  else this[flight].fail('broken', 'the connection closed within the reply');
}

function onReplyError(this: Answered, error: unknown): void {
  this[flight].fail('broken', failureOf(error).message);
}

function onError(this: Sent, error: unknown): void {
  const { how, message, retryable } = failureOf(error);
  this[flight].fail(this.hasReply ? 'broken' : how, message, retryable);
}

export function nodeTransport(): Transport {
  const settings: http.AgentOptions = { keepAlive: true, maxSockets: Infinity, maxFreeSockets: 1024, scheduling: 'lifo' };
  const doors = new Map<string, Door>();

  const doorOf = (protocol: string): Door => {
    let door = doors.get(protocol);
    if (!door) {
      // TLS takes milliseconds to load, which a start with plain HTTP need not wait for.
      const { Agent, request } =
        protocol === 'https:' ? (createRequire(import.meta.url)('node:https') as typeof https) : http;
      door = { agent: new Agent(settings), request };
      // The agent's own also looks for the server's hint, which means nothing without a timeout of ours, and parses all
      // headers for it.
      Object.assign(door.agent, {
        keepSocketAlive(socket: Socket) {
          socket.setKeepAlive(true, 1000);
          socket.unref();
          return true;
        },
      });
      doors.set(protocol, door);
    }
    return door;
  };

  const targetOf = targetsOf<Target>(({ url, method, headers }, { protocol, host, hostname, port, pathname, search }) => {
    const { agent, request } = doorOf(protocol);
    return {
      url, request,
      options: { method, agent, host: hostname.replace(/^\[|\]$/g, ''), port, path: pathname + search },
      headers: ['host', host, ...headers.flat()],
    };
  });

  const start = (exchange: Direct): void => {
    const { request, options, headers } = targetOf(exchange);
    const text = exchange.latin1();
    const body = text ?? exchange.body;
    const list = body === null ? headers : [...headers, 'content-length', String(body.length)];
    const sent = request({ ...options, headers: takesList ? list : pairsOf(list) }) as Sent;
    sent[flight] = exchange;
    exchange.handle = sent;
    sent.on('response', onResponse);
    sent.on('error', onError);
    if (text !== null) sent.end(text, 'latin1');
    else if (body !== null) sent.end(body);
    else sent.end();
  };

  return guarded(start, () => {
    for (const { agent } of doors.values()) agent.destroy();
  });
}
