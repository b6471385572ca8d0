declare module '*/wasm_exec.js'
declare module '*.css'
