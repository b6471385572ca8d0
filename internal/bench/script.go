package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"synod/client"
)

// largeSize is about the size, in bytes, of a bundle of what applications
// import most: protobufjs, jsrsasign, lodash, inversify.
const largeSize = 1 << 20

// proposals is how many proposals the governance row measures.
const proposals = 100

// measureLarge deploys an application that imports a library of largeSize and
// loads it, with fresh interpreters and with reuse; then it measures
// governance on the same node. The baseline has no goals for these.
func (s *Suite) measureLarge(ctx context.Context) error {
	return s.with(ctx, Plan{Binary: "synod-node", Nodes: 1}, func(service *Service) error {
		s.printf("\nJS bundle of %d kB:\n", largeSize>>10)
		node := service.Nodes[0]
		for _, c := range []struct{ name, reuse string }{{"fresh", ""}, {"reuse", "k"}} {
			start := time.Now()
			if err := service.pass(ctx, client.Action{Name: "set_js_app", Args: map[string]any{"bundle": scriptBundle(c.reuse, largeLibrary())}}); err != nil {
				return err
			}
			if _, err := (Load{Targets: []Target{node.Target}, Connections: 1, Each: 1, Request: post}).Run(ctx); err != nil {
				return err
			}
			deployed := time.Since(start)
			res, err := Load{Targets: []Target{node.Target}, Watch: service.PIDs(), Connections: 16, Duration: s.Duration, Request: post}.Run(ctx)
			if err != nil {
				return err
			}
			values := loadValues(res)
			values["deploy_ms"] = inMillis(deployed)
			s.figure(fmt.Sprintf("JS %s, bundle of %d kB, write", c.name, largeSize>>10), 16, values)
			s.printf("  %s: proposal → voted → served: %s; write, 16 connections: %.0f/s, %.0f CPU µs/request, RSS %.0f MB\n",
				c.name, deployed.Round(time.Millisecond), res.PerSecond(), micros(res.CPU[0]), mb(res.Resident[0]))
		}
		return s.measureProposals(ctx, service)
	})
}

// measureProposals passes proposals one after another under the default
// constitution: each is created by one member and voted for until accepted.
func (s *Suite) measureProposals(ctx context.Context, service *Service) error {
	options := client.Action{Name: "set_js_runtime_options", Args: map[string]any{
		"max_heap_bytes": 100 << 20, "max_stack_bytes": 1 << 20, "max_execution_time_ms": 5000,
	}}
	took := make([]time.Duration, proposals)
	before, start := processorTime(service.Nodes[0].PID), time.Now()
	for i := range took {
		sent := time.Now()
		if err := service.pass(ctx, options); err != nil {
			return err
		}
		took[i] = time.Since(sent)
	}
	elapsed, spent := time.Since(start), processorTime(service.Nodes[0].PID)-before
	slices.Sort(took)
	s.figure("proposals, created and voted", 0, map[string]float64{
		"proposals_per_s": proposals / elapsed.Seconds(), "p50_ms": inMillis(quantile(took, 0.5)), "cpu_ms": spent.Seconds() * 1e3 / proposals,
	})
	s.printf("governance, three members, default constitution: %.0f proposals/s created and voted, p50 %s, %.1f CPU ms each\n",
		proposals/elapsed.Seconds(), quantile(took, 0.5).Round(10*time.Microsecond), spent.Seconds()*1e3/proposals)
	return nil
}

// largeLibrary is a module of functions and tables, as bundlers write them.
func largeLibrary() string {
	var b strings.Builder
	b.WriteString("const all = {};\n")
	for i := 0; b.Len() < largeSize; i++ {
		fmt.Fprintf(&b, "all.helper%d = { tags: ['a%d', 'b'], run(collection, iteratee, accumulator) { let index = -1; const length = collection == null ? 0 : collection.length;"+
			" while (++index < length) { accumulator = iteratee(accumulator, collection[index], index, collection); } return accumulator; } };\n", i, i)
	}
	b.WriteString("export default all;\n")
	return b.String()
}

// scriptBundle is the logging sample's private records in JavaScript; reuse is
// the key under which interpreters are kept, "" for a fresh one each time;
// library is the source of a module that it imports, "" for none.
func scriptBundle(reuse, library string) json.RawMessage {
	endpoint := func(function, mode string) map[string]any {
		e := map[string]any{
			"js_module": "log.js", "js_function": function, "mode": mode,
			"forwarding_required": "sometimes", "authn_policies": []string{"user_cert"},
		}
		if reuse != "" {
			e["interpreter_reuse"] = map[string]any{"key": reuse}
		}
		return e
	}
	modules := []any{map[string]any{"name": "log.js", "module": scriptSource}}
	if library != "" {
		modules = []any{
			map[string]any{"name": "log.js", "module": `import "./library.js";` + scriptSource},
			map[string]any{"name": "library.js", "module": library},
		}
	}
	b, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"endpoints": map[string]any{"/log/private": map[string]any{
			"post": endpoint("put", "readwrite"), "get": endpoint("get", "readonly"),
		}}},
		"modules": modules,
	})
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	return b
}

const scriptSource = `
const records = ccf.kv["records"];
function idOf(request) {
  for (const part of request.query.split("&")) {
    const [name, value] = part.split("=");
    if (name === "id") return ccf.strToBuf(value);
  }
  throw new Error("no id");
}
export function put(request) {
  const { id, msg } = request.body.json();
  records.set(ccf.strToBuf(id.toString()), ccf.strToBuf(msg));
  return { body: true };
}
export function get(request) {
  const msg = records.get(idOf(request));
  if (msg === undefined) return { statusCode: 404, body: { error: "No such record" } };
  return { body: { msg: ccf.bufToStr(msg) } };
}
`
